/** The metadata key of `@SkipGlobalGuards()`, on the class or the method. */
export const SKIPS_GLOBAL_GUARDS = 'pxl:skips-global-guards';

/**
 * Skips global guards (`APP_GUARD`, `useGlobalGuards()`) for a `@WsRoute()` or `@SubscribeMessage()` method, or for a class.
 * Guards of `@UseGuards()` still run.
 */
export const SkipGlobalGuards =
  (): ClassDecorator & MethodDecorator =>
  (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void =>
    Reflect.defineMetadata(SKIPS_GLOBAL_GUARDS, true, (descriptor?.value as object | undefined) ?? target);
