// The replica: folds the snapshot and the changes, and tells each panel once per frame what it shows has changed.

export class Store {
  #page = {};
  #listeners = new Map();
  #changed = new Set();
  #scheduled = false;
  #frozen = false;

  rows(coll) {
    return this.#page[coll] ?? {};
  }

  on(colls, listener) {
    for (const coll of colls) {
      if (!this.#listeners.has(coll)) this.#listeners.set(coll, new Set());
      this.#listeners.get(coll).add(listener);
    }
  }

  snapshot(page) {
    const before = this.#page;
    this.#page = page;
    this.#touch(...Object.keys(before), ...Object.keys(page));
  }

  apply({ op, coll, key, v }) {
    const rows = (this.#page[coll] ??= {});
    if (op === "upsert") rows[key] = v;
    else delete rows[key];
    this.#touch(coll);
  }

  get frozen() {
    return this.#frozen;
  }

  // While frozen the replica goes on; only the tables stand still. State, mode and connections are always shown live.
  set frozen(frozen) {
    this.#frozen = frozen;
    this.#touch(...Object.keys(this.#page));
  }

  #touch(...colls) {
    for (const coll of colls) this.#changed.add(coll);
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => this.#tell());
  }

  #tell() {
    this.#scheduled = false;
    const due = new Set();
    for (const coll of this.#changed) {
      if (this.#frozen && coll !== "status" && coll !== "meta") continue;
      this.#changed.delete(coll);
      for (const listener of this.#listeners.get(coll) ?? []) due.add(listener);
    }
    for (const listener of due) listener();
  }
}
