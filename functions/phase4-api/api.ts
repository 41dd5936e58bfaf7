import httpRouter, { type Method } from '@middy/http-router';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { methodNotAllowed, Problem, problemResponse } from './http/problem.ts';
import { legacyRoutes } from './legacy-routes.ts';
import { openApiText } from './openapi.ts';
import { problemOf } from './refusals.ts';
import type { Api, HttpResponse, Route } from './route.ts';
import { unifiedRoutes } from './unified-routes.ts';

/** Route → what may be asked there, to tell a wrong method from a wrong path. */
const methodsAt = (routes: readonly Route[], path: string): readonly Method[] => {
  const segments = path.replace(/(?<=.)\/$/, '').split('/');
  const matches = (pattern: string) => {
    const wanted = pattern.split('/');
    return (
      wanted.length === segments.length &&
      wanted.every((part, index) =>
        part.startsWith('{') ? segments[index] !== '' : part === segments[index],
      )
    );
  };
  return routes.filter((route) => matches(route.path)).map(({ method }) => method);
};

/** A response, the route that gave it (no id in it), and the error behind it where it is a problem. */
export interface Answer {
  readonly response: HttpResponse;
  readonly route: string;
  readonly error?: unknown;
}

type Answers = (
  event: APIGatewayProxyEventV2,
  /** Of the invocation: its id is told in problems. */
  context: Pick<Context, 'awsRequestId'>,
) => Promise<Answer>;

const NO_ROUTE = 'none';

/**
 * The API over one service: routes a request, and turns what goes wrong into a problem document. It is the
 * same whatever store the service reads: the contract check runs it over both.
 */
export const createApi = (api: Api): Answers => {
  const routes: readonly Route[] = [
    ...legacyRoutes(api),
    ...unifiedRoutes(api),
    {
      method: 'GET',
      path: '/openapi.json',
      answer: async () => ({
        statusCode: 200,
        headers: { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' },
        body: openApiText(api.mapping, await api.service.idTypes()),
      }),
    },
  ];
  const answered = async (
    route: string,
    { awsRequestId }: Pick<Context, 'awsRequestId'>,
    work: () => Promise<HttpResponse>,
  ): Promise<Answer> => {
    try {
      return { route, response: await work() };
    } catch (error) {
      return {
        route,
        response: problemResponse(problemOf(error), `urn:request:${awsRequestId}`),
        error,
      };
    }
  };
  const router = httpRouter<APIGatewayProxyEventV2, HttpResponse>({
    routes: routes.map(({ method, path, answer }) => ({
      method,
      path,
      // The router hands on what a handler gives; that ours give an `Answer` is between them and us.
      handler: (event: APIGatewayProxyEventV2, context: Context) =>
        answered(path, context, () => answer(event)) as Promise<object>,
    })),
    notFoundResponse: ({ path }) => {
      const allowed = methodsAt(routes, path);
      throw allowed.length > 0 ? methodNotAllowed(allowed) : new Problem('not-found');
    },
  });
  return async (event, context) => {
    const { signal } = new AbortController();
    try {
      return (await router(event, context as Context, { signal })) as unknown as Answer;
    } catch (error) {
      return answered(NO_ROUTE, context, () => Promise.reject(error));
    }
  };
};
