import { writeJson } from './json-form.js';
import type { ErrorFrame, ErrorFrameData, RequestId } from './message.js';

type Told = Pick<ErrorFrameData, 'error' | 'code' | 'details'>;

/** The call that failed, as far as it is known. */
interface FailedCall {
  type?: string;
  action?: string;
  id?: RequestId | undefined;
}

/** The only place that makes error frames. */
export function errorFrame({ error, code, details }: Told, { id, ...route }: FailedCall = {}): ErrorFrame {
  return {
    type: 'error',
    action: 'message',
    id,
    data: { error, code, ...route, details },
  };
}

/** The error frame as text. Leaves out `details` that have no JSON form. */
export function encodeErrorFrame(told: Told, call?: FailedCall): string {
  try {
    return writeJson(errorFrame(told, call));
  } catch {
    return writeJson(errorFrame({ ...told, details: undefined }, call));
  }
}
