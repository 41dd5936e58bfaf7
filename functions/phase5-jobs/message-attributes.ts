import type { SQSMessageAttribute, SQSRecord } from 'aws-lambda';
import type { MessageAttributes } from '../runtime/dead-letter-reason.ts';

/** An attribute as it came; binary ones come as base64. */
const asSent = ({ dataType, stringValue, binaryValue }: SQSMessageAttribute) => ({
  DataType: dataType,
  ...(stringValue === undefined ? {} : { StringValue: stringValue }),
  ...(binaryValue === undefined ? {} : { BinaryValue: Buffer.from(binaryValue, 'base64') }),
});

/** What a message said of itself, to be said again by its copy. */
export const attributesOf = ({ messageAttributes }: SQSRecord): MessageAttributes =>
  Object.fromEntries(
    Object.entries(messageAttributes).map(([name, attribute]) => [name, asSent(attribute)]),
  );
