import { createParamDecorator, type ExecutionContext, type PipeTransform, type Type } from '@nestjs/common';
import type { ConnectedClient, RoutedCall } from './connected-client.js';

type Pipe = Type<PipeTransform> | PipeTransform;

/**
 * Injects a parameter of the path of the sender's connection: `@ConnectionParam('tenant')` with `path: '/ws/:tenant'`. Without
 * a name, injects all parameters. Undefined for an unknown name.
 */
export const ConnectionParam: (name?: string, ...pipes: Pipe[]) => ParameterDecorator = createParamDecorator(
  (name: string | undefined, context: ExecutionContext) => {
    const { params } = context.getArgByIndex<RoutedCall>(2).client as Partial<ConnectedClient>;
    return name === undefined ? params : params?.[name];
  },
);
