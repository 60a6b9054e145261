import { writeJson } from './json-form.js';
import type { ErrorFrame, ErrorFrameData, RequestId } from './message.js';

type Told = Pick<ErrorFrameData, 'error' | 'code' | 'details'>;

/** The call that failed, as far as it is known. */
interface FailedCall {
  type?: string;
  action?: string;
  id?: RequestId | undefined;
}

/** The one place that makes error frames. */
export function errorFrame({ error, code, details }: Told, { id, ...route }: FailedCall = {}): ErrorFrame {
  return {
    type: 'error',
    action: 'message',
    ...(id === undefined ? {} : { id }),
    data: { error, code, ...route, ...(details === undefined ? {} : { details }) },
  };
}

/** The same as text. Without its details, where those have no JSON form. */
export function encodeErrorFrame(told: Told, call?: FailedCall): string {
  try {
    return writeJson(errorFrame(told, call));
  } catch {
    return writeJson(errorFrame({ ...told, details: undefined }, call));
  }
}
