/* Last of all: the shared server has to end by itself, with code 0 (a sanitizer would speak here). */
import { closeAll, test } from '../lib/kit.mjs';

test('the server ends cleanly', closeAll);
