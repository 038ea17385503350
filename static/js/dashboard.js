// The dashboard: one store, one connection, and the panels.

import { Live } from "./live.js";
import { install } from "./notices.js";
import { candidates } from "./panels/candidates.js";
import { differences } from "./panels/differences.js";
import { equity } from "./panels/equity.js";
import { feed } from "./panels/feed.js";
import { header } from "./panels/header.js";
import { log } from "./panels/log.js";
import { money } from "./panels/money.js";
import { orders } from "./panels/orders.js";
import { positions } from "./panels/positions.js";
import { trades } from "./panels/trades.js";
import { Store } from "./store.js";

const store = new Store();
const live = new Live(store);
install();
for (const panel of [header, feed, money, differences, positions, orders, candidates, trades, log, equity]) panel(store, live);
live.open();
