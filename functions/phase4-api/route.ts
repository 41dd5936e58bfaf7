import type { Method } from '@middy/http-router';
import type { KitsService } from '@unified-kits/data';
import type { Mapping, Source } from '@unified-kits/domain';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import type { Deprecation } from './deprecation.ts';

export type HttpResponse = APIGatewayProxyStructuredResultV2;

/** What the routes need. */
export interface Api {
  readonly service: KitsService;
  readonly mapping: Mapping;
  readonly deprecation: Deprecation;
  /** Told which kits a response shows, once it is decided. */
  readonly shown: (source: Source, legacyIds: readonly string[]) => void;
}

export interface Route {
  readonly method: Method;
  /** With `{name}` for a segment. */
  readonly path: string;
  readonly answer: (event: APIGatewayProxyEventV2) => Promise<HttpResponse>;
}
