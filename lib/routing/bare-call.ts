import type { RouteCall } from './route-call.js';
import type { FilterRunner } from './route-filters.js';
import { isPromise } from './stream-source.js';

type AnyFunction = (...args: unknown[]) => unknown;

/** A parameter of a handler, as Nest passes it to its pipes. */
export interface Param {
  index: number;
  pipes: unknown[];
  extractValue(...args: unknown[]): unknown;
}

/** What Nest found for one method, recorded while Nest wraps it. */
export interface Found {
  guards?: unknown[];
  pipes?: unknown[];
  interceptors?: unknown[];
  filters?: FilterRunner;
  params?: Param[];
}

/** The parameters of a method without guards, pipes, interceptors and filters. Undefined for any other method. */
export function paramsOfBare({ guards, pipes, interceptors, filters, params }: Found): Param[] | undefined {
  if (guards?.length !== 0 || pipes?.length !== 0 || interceptors?.length !== 0) return undefined;
  if (filters?.filters?.length !== 0 || !params || params.length === 0) return undefined;
  return params.every((param) => param.pipes.length === 0) ? params : undefined;
}

export type Take = (call: RouteCall, result: unknown) => unknown;

export const takeAll: Take = (call, result) => call.take(result);

/** Calls a handler without guards, pipes, interceptors and filters. Nothing has to be awaited before the call. */
export function callBare(
  instance: object,
  method: AnyFunction,
  params: Param[],
  take: Take,
  call: RouteCall,
  data: unknown,
): unknown {
  const pattern = `${call.type}/${call.action}`;
  const args: unknown[] = [];
  let isWaiting = false;
  for (const { index, extractValue } of params) {
    const value = extractValue(call.ws, data, call, pattern);
    args[index] = value;
    isWaiting ||= isPromise(value);
  }
  if (isWaiting) return Promise.all(args).then((values) => take(call, method.apply(instance, values)));
  return take(call, method.apply(instance, args));
}
