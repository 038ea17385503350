// How numbers, times and ages are written. Values arrive as decimal strings and are only rounded for the eye.

const MINUS = "−";
const NONE = "–";

// Made once: making a formatter costs far more than using it.
const number = (least, most) => new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
const WHOLE = number(0, 0);
const HUNDREDTHS = number(2, 2);
const LOCAL = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const UTC = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "UTC" });

const amount = (text) => HUNDREDTHS.format(Math.abs(Number(text)));

export function dollars(text) {
  if (text == null) return NONE;
  return `${isLoss(text) ? MINUS : ""}$${amount(text)}`;
}

// A gain or a loss: sign and triangle besides the colour. What rounds to nothing has neither.
export function change(text) {
  if (text == null) return NONE;
  if (isLoss(text)) return `▼ ${MINUS}${amount(text)}`;
  return isGain(text) ? `▲ +${amount(text)}` : "0.00";
}

export function tone(text) {
  if (text == null) return "";
  return isLoss(text) ? "loss" : isGain(text) ? "gain" : "";
}

const isLoss = (text) => Number(text) <= -0.005;
const isGain = (text) => Number(text) >= 0.005;

// A price in cents, which is also the chance in percent; a second decimal only where the grid has it.
export function cents(text) {
  if (text == null) return NONE;
  const value = Number(text) * 100;
  return value.toFixed(/[1-9]$/.test(text.slice(5)) ? 2 : 1);
}

export function contracts(text) {
  if (text == null) return NONE;
  const value = Number(text);
  return (Number.isInteger(value) ? WHOLE : HUNDREDTHS).format(value);
}

export function percent(value) {
  return value == null ? NONE : `${(value * 100).toFixed(1)}`;
}

export function points(value) {
  if (value == null) return NONE;
  const text = Math.abs(value * 100).toFixed(1);
  return text === "0.0" ? text : `${value < 0 ? MINUS : "+"}${text}`;
}

export function clock(ms, utc = false) {
  if (ms == null) return NONE;
  return (utc ? UTC : LOCAL).format(ms);
}

// "18 s", "4 min", "2 h 05 min", "3 d 4 h"
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

export function until(ms, now) {
  if (ms == null) return NONE;
  return ms > now ? `in ${span(ms - now)}` : `${span(now - ms)} ago`;
}
