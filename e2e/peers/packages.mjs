// Packages from NODE_MODULES: Node looks for them above the importing file, and these are elsewhere.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.NODE_MODULES}/`);
export const locate = (name) => require.resolve(name);
export const load = async (name) => import(pathToFileURL(locate(name)));
