import { serve } from '../contract.js';
import { startNetServer } from './net-server.js';

await serve(() => startNetServer());
