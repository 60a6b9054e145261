// One guard, one pipe and one interceptor, the same for both Nest servers.
import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import type { News } from '../contract.js';

@Injectable()
export class BenchGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.getType() === 'ws';
  }
}

@Injectable()
export class BenchPipe implements PipeTransform {
  transform(news: News): News {
    if (typeof news.seq !== 'number') throw new TypeError('The number is missing.');
    return news;
  }
}

@Injectable()
export class BenchInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value: unknown) => value));
  }
}
