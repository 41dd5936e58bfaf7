import { Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi,
  HttpMethod,
  HttpNoneAuthorizer,
  HttpStage,
  LogGroupLogDestination,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { ApiSettings } from '../settings.ts';
import { KeptLogGroup } from './kept-log-group.ts';

/** What is said of a request. Neither its path, whose ids are a person's kits, nor who asked. */
const LOGGED = {
  requestId: '$context.requestId',
  time: '$context.requestTimeEpoch',
  route: '$context.routeKey',
  status: '$context.status',
  ms: '$context.responseLatency',
  functionMs: '$context.integrationLatency',
  error: '$context.error.message',
  authorizerError: '$context.authorizer.error',
};

/** A request beyond these is answered with 429; the database is what they protect. */
const THROTTLE = { rateLimit: 500, burstLimit: 250 };

export interface KitsApiProps {
  readonly name: string;
  readonly settings: ApiSettings;
  readonly handler: IFunction;
  readonly key: IKey;
}

/** The HTTP API: every request needs a token of the issuer, but the one for its own description. */
export class KitsApi extends Construct {
  readonly api: HttpApi;

  constructor(scope: Construct, id: string, { name, settings, handler, key }: KitsApiProps) {
    super(scope, id);
    const { issuer, audience } = settings;
    this.api = new HttpApi(this, 'Api', {
      apiName: name,
      createDefaultStage: false,
      defaultAuthorizer: new HttpJwtAuthorizer('Tokens', issuer, { jwtAudience: audience }),
    });
    const integration = new HttpLambdaIntegration('Handler', handler);
    this.api.addRoutes({ path: '/{proxy+}', methods: [HttpMethod.ANY], integration });
    const [description] = this.api.addRoutes({
      path: '/openapi.json',
      methods: [HttpMethod.GET],
      integration,
      authorizer: new HttpNoneAuthorizer(),
    });
    if (description !== undefined)
      Validations.of(description).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The description of the API is public.',
      });
    new HttpStage(this, 'Stage', {
      httpApi: this.api,
      autoDeploy: true,
      throttle: THROTTLE,
      accessLogSettings: {
        destination: new LogGroupLogDestination(
          new KeptLogGroup(this, 'AccessLog', key, RetentionDays.THREE_MONTHS),
        ),
        format: AccessLogFormat.custom(JSON.stringify(LOGGED)),
      },
    });
  }
}
