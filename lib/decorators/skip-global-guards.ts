/** Where `@SkipGlobalGuards()` leaves its mark, on the class or the method. */
export const SKIPS_GLOBAL_GUARDS = 'pxl:skips-global-guards';

/**
 * Leaves the guards of the whole application (`APP_GUARD`, `useGlobalGuards()`) out around a `@WsRoute()` or
 * `@SubscribeMessage()` method, or around all of a class. Those of `@UseGuards()` run all the same.
 */
export const SkipGlobalGuards =
  (): ClassDecorator & MethodDecorator =>
  (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void =>
    Reflect.defineMetadata(SKIPS_GLOBAL_GUARDS, true, (descriptor?.value as object | undefined) ?? target);
