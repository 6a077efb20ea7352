// The pages work without this file. It makes them live, and quicker to use with a keyboard.
import { startConfirm } from "./confirm.js";
import { startGraphs } from "./graph.js";
import { startGrid } from "./grid.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startLogs } from "./log.js";
import { startMenus } from "./menu.js";
import { startSearch } from "./search.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";

startTheme();
startConfirm();
startMenus();
startTabs();
startKeys();
startSearch();
startGrid();
startGraphs();
startLogs();
startLive();
