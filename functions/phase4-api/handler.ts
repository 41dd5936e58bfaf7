import { performance } from 'node:perf_hooks';
import middy from '@middy/core';
import httpHeaderNormalizer from '@middy/http-header-normalizer';
import httpSecurityHeaders from '@middy/http-security-headers';
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda';
import { withAfterResponse } from '../runtime/after-response.ts';
import { readEnvironment } from '../runtime/environment.ts';
import { type BoundService, kitsServiceOf } from '../runtime/kits-service.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { metricsMiddleware, serviceMetrics } from '../runtime/service-metrics.ts';
import { type Answer, createApi } from './api.ts';
import { asProblem, problemResponse } from './http/problem.ts';
import type { HttpResponse } from './route.ts';
import { shadowReads } from './shadow-reads.ts';

const PHASE = 'phase4-api';

type Answers = ReturnType<typeof createApi>;

/** The routes of a service, made once. */
const made = new WeakMap<BoundService, Answers>();

const answersOf = (
  bound: BoundService,
  deprecation: Parameters<typeof createApi>[0]['deprecation'],
) => {
  const known = made.get(bound);
  if (known !== undefined) return known;
  const { service, mapping, flags } = bound;
  const answers = createApi({
    service,
    mapping,
    deprecation,
    shown: shadowReads(PHASE, service, flags),
  });
  made.set(bound, answers);
  return answers;
};

const observe = (event: APIGatewayProxyEventV2, context: Context, answer: Answer, ms: number) => {
  const { statusCode = 200 } = answer.response;
  const { method } = event.requestContext.http;
  const metrics = serviceMetrics(PHASE);
  metrics.count(METRICS.ApiRequests);
  metrics.duration(METRICS.ApiLatency, ms);
  if (statusCode >= 500) metrics.count(METRICS.ApiErrors);
  const told = {
    requestId: context.awsRequestId,
    method,
    route: answer.route,
    status: statusCode,
    ms,
  };
  const log = serviceLog(PHASE);
  if (statusCode >= 500) log.error('a request failed', answer.error, told);
  else log.info('a request was answered', told);
};

const answer = async (event: APIGatewayProxyEventV2, context: Context): Promise<Answer> => {
  try {
    const environment = readEnvironment();
    const answers = answersOf(await kitsServiceOf(environment, PHASE), environment.legacyApi);
    return await answers(event, context);
  } catch (error) {
    return { route: 'none', response: problemResponse(asProblem(error)), error };
  }
};

const api = middy<APIGatewayProxyEventV2, HttpResponse>()
  .use(metricsMiddleware)
  .use(httpHeaderNormalizer())
  .use(
    httpSecurityHeaders({
      contentSecurityPolicy: false,
      crossOriginEmbedderPolicy: false,
      crossOriginOpenerPolicy: false,
      dnsPrefetchControl: false,
      downloadOptions: false,
      originAgentCluster: false,
      permissionsPolicy: false,
      permittedCrossDomainPolicies: false,
      reportTo: false,
      reportingEndpoints: false,
      xssProtection: false,
    }),
  )
  .handler(async (event: APIGatewayProxyEventV2, context: Context) => {
    const began = performance.now();
    const answered = await answer(event, context);
    observe(event, context, answered, Math.round((performance.now() - began) * 10) / 10);
    return answered.response;
  });

/** The kits API: every route, behind an HTTP API whose authorizer has checked the token. */
export const handler = await withAfterResponse(
  PHASE,
  async (event: APIGatewayProxyEventV2, context: Context): Promise<HttpResponse> =>
    api(event, context),
);
