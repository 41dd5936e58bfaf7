import { z } from 'zod';
import { page } from './paging.ts';
import type { ParameterEvents } from './parameter-events.ts';
import { notFound, type Parameters } from './parameters.ts';
import type { Caller, JsonService } from './service.ts';
import { epochSeconds, parseInput, ServiceError } from './service-error.ts';
import type { ParameterVersion } from './state.ts';

const name = z
  .string()
  .min(1)
  .max(2048)
  .regex(/^(arn:[\w:/.-]+|[\w./-]+(:\d+)?)$/, 'not a parameter name');
const limited = (most: number) => z.number().int().min(1).max(most).default(most);

const putInput = z.strictObject({
  Name: z
    .string()
    .max(2048)
    .regex(/^[\w./-]+$/, 'not a parameter name'),
  Value: z.string().min(1).max(4096),
  Type: z.enum(['String', 'StringList', 'SecureString']).optional(),
  Overwrite: z.boolean().default(false),
  Description: z.string().max(1024).optional(),
  AllowedPattern: z.string().max(1024).optional(),
  Tier: z.enum(['Standard', 'Advanced', 'Intelligent-Tiering']).optional(),
  DataType: z.literal('text').optional(),
});
const getInput = z.strictObject({ Name: name, WithDecryption: z.boolean().optional() });
const getManyInput = z.strictObject({
  Names: z.array(name).min(1).max(10),
  WithDecryption: z.boolean().optional(),
});
const byPathInput = z.strictObject({
  Path: z.string().startsWith('/'),
  Recursive: z.boolean().default(false),
  WithDecryption: z.boolean().optional(),
  MaxResults: limited(10),
  NextToken: z.string().optional(),
});
const describeInput = z.strictObject({
  ParameterFilters: z
    .array(
      z.strictObject({
        Key: z.literal('Name'),
        Option: z.enum(['Equals', 'BeginsWith']).default('Equals'),
        Values: z.array(z.string()).min(1),
      }),
    )
    .default([]),
  MaxResults: limited(50),
  NextToken: z.string().optional(),
});
const historyInput = z.strictObject({
  Name: name,
  WithDecryption: z.boolean().optional(),
  MaxResults: limited(50),
  NextToken: z.string().optional(),
});
const deleteInput = z.strictObject({ Name: name });

/** The part of Systems Manager that flags need: the Parameter Store. */
export function ssmService(
  parameters: Parameters,
  events: ParameterEvents,
  place: { readonly region: string; readonly accountId: string },
): JsonService {
  const arnOf = (parameter: string) =>
    `arn:aws:ssm:${place.region}:${place.accountId}:parameter/${parameter.replace(/^\//, '')}`;

  const shape = (found: ParameterVersion) => ({
    Name: found.name,
    Type: found.type,
    Value: found.value,
    Version: found.version,
    LastModifiedDate: epochSeconds(found.modifiedAt),
    ARN: arnOf(found.name),
    DataType: found.dataType,
  });
  const metadata = (found: ParameterVersion) => ({
    Name: found.name,
    ARN: arnOf(found.name),
    Type: found.type,
    LastModifiedDate: epochSeconds(found.modifiedAt),
    LastModifiedUser: found.modifiedBy,
    Description: found.description,
    AllowedPattern: found.allowedPattern,
    Version: found.version,
    Tier: found.tier,
    Policies: [],
    DataType: found.dataType,
  });

  /** A name, a name with a version, or an ARN. */
  const find = (asked: string) => {
    const plain = asked.startsWith('arn:')
      ? parameters.all().find((candidate) => arnOf(candidate.name) === asked)?.name
      : asked;
    if (plain === undefined) return undefined;
    const [wanted = plain, number] = plain.split(':');
    return parameters.get(wanted, number === undefined ? undefined : Number(number));
  };

  const announce = (operation: 'Create' | 'Update' | 'Delete', changed: ParameterVersion) => {
    const { name: changedName, type, description } = changed;
    events.publish(
      { operation, name: changedName, type, ...(description === undefined ? {} : { description }) },
      arnOf(changedName),
    );
  };

  const operations = {
    async PutParameter(input: unknown, caller: Caller) {
      const asked = parseInput(putInput, input);
      const { stored, created } = await parameters.put({
        name: asked.Name,
        value: asked.Value,
        type: asked.Type,
        overwrite: asked.Overwrite,
        description: asked.Description,
        allowedPattern: asked.AllowedPattern,
        tier: asked.Tier,
        dataType: asked.DataType,
        modifiedBy: `arn:aws:iam::${place.accountId}:user/${caller.accessKeyId}`,
      });
      announce(created ? 'Create' : 'Update', stored);
      return { Version: stored.version, Tier: stored.tier };
    },

    GetParameter(input: unknown) {
      const asked = parseInput(getInput, input);
      const found = find(asked.Name);
      if (found) return { Parameter: shape(found) };
      const [plain = '', number] = asked.Name.split(':');
      if (number !== undefined && parameters.get(plain)) {
        throw new ServiceError(
          'ParameterVersionNotFound',
          `Systems Manager could not find version ${number} of ${plain}.`,
        );
      }
      throw notFound(asked.Name);
    },

    GetParameters(input: unknown) {
      const asked = parseInput(getManyInput, input);
      const found = asked.Names.flatMap((wanted) => find(wanted) ?? []);
      return {
        Parameters: found.map(shape),
        InvalidParameters: asked.Names.filter((wanted) => !find(wanted)),
      };
    },

    GetParametersByPath(input: unknown) {
      const asked = parseInput(byPathInput, input);
      const prefix = asked.Path.endsWith('/') ? asked.Path : `${asked.Path}/`;
      const below = parameters.all().filter((candidate) => {
        if (!candidate.name.startsWith(prefix)) return false;
        return asked.Recursive || !candidate.name.slice(prefix.length).includes('/');
      });
      const { items, nextToken } = pageByName(below, asked.MaxResults, asked.NextToken);
      return { Parameters: items.map(shape), NextToken: nextToken };
    },

    DescribeParameters(input: unknown) {
      const asked = parseInput(describeInput, input);
      const matching = parameters
        .all()
        .filter((candidate) =>
          asked.ParameterFilters.every(({ Option, Values }) =>
            Values.some((value) =>
              Option === 'Equals' ? candidate.name === value : candidate.name.startsWith(value),
            ),
          ),
        );
      const { items, nextToken } = pageByName(matching, asked.MaxResults, asked.NextToken);
      return { Parameters: items.map(metadata), NextToken: nextToken };
    },

    GetParameterHistory(input: unknown) {
      const asked = parseInput(historyInput, input);
      const versions = parameters.versions(asked.Name);
      if (versions.length === 0) throw notFound(asked.Name);
      const { items, nextToken } = page(
        versions,
        (one) => String(one.version),
        (key, last) => Number(key) > Number(last),
        { limit: asked.MaxResults, token: asked.NextToken, tokenError: 'InvalidNextToken' },
      );
      return {
        Parameters: items.map((one) => {
          // The history has no ARN, and unlike the metadata the value.
          const { ARN: _, ...rest } = metadata(one);
          return { ...rest, Value: one.value, Labels: [] };
        }),
        NextToken: nextToken,
      };
    },

    async DeleteParameter(input: unknown) {
      const asked = parseInput(deleteInput, input);
      announce('Delete', await parameters.remove(asked.Name));
      return {};
    },
  };
  return { target: 'AmazonSSM', jsonVersion: '1.1', operations };
}

function pageByName(
  found: readonly ParameterVersion[],
  limit: number,
  token: string | undefined,
): ReturnType<typeof page<ParameterVersion>> {
  return page(
    found,
    (one) => one.name,
    (key, last) => key > last,
    { limit, token, tokenError: 'InvalidNextToken' },
  );
}
