// The chosen theme, before anything is painted. Without a choice the system's setting holds.

const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
