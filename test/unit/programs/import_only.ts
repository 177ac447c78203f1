/** Imports the module, and that is all. */

import "../../../mod.ts";
