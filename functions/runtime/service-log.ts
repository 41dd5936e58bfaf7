import { LogFormatter, Logger, LogItem } from '@aws-lambda-powertools/logger';
import { UnifiedKitsError } from '@unified-kits/domain';
import { environmentName, writeLog } from './environment.ts';
import { publicError } from './faults.ts';

/** Ids, counters and verdicts. Bodies, headers and query strings are nobody's business, so there is no way to log one. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The log of a service function; a line is one JSON object. */
export interface ServiceLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  /** Of the error it writes the name, the places, and the message where it is one of ours: others quote values. */
  error(message: string, error: unknown, fields?: LogFields): void;
}

type Attributes = Parameters<LogFormatter['formatAttributes']>;

class ServiceLogFormatter extends LogFormatter {
  override formatAttributes(...[standard, additional]: Attributes): LogItem {
    const attributes = {
      level: standard.logLevel,
      message: standard.message,
      timestamp: this.formatTimestamp(standard.timestamp),
      service: standard.serviceName,
      environment: environmentName(),
      xray_trace_id: standard.xRayTraceId,
    };
    return new LogItem({ attributes }).addAttributes(additional);
  }
}

/** Powertools writes to the process's output; here a line goes where its environment's log goes. */
class ScopedLogger extends Logger {
  protected override printLog(_level: number, item: LogItem): void {
    item.prepareForPrint();
    writeLog(item.getAttributes());
  }
}

const MOST_PLACES = 10;

/** Where in the code an error comes from: its stack without its message, which stands at the beginning. */
const placesOf = ({ message, stack = '' }: Error): string[] => {
  const head = stack.indexOf(message);
  return head === -1
    ? []
    : [...stack.slice(head + message.length).matchAll(/^ {4}at (.+)$/gm)]
        .slice(0, MOST_PLACES)
        .map(([, place = '']) => place);
};

const describe = (error: unknown) => {
  const known = error instanceof UnifiedKitsError ? error : publicError(error);
  if (!(known instanceof Error)) return { name: typeof known };
  const message = known instanceof UnifiedKitsError ? known.message : undefined;
  return { name: known.name, message, places: placesOf(known) };
};

const loggers = new Map<string, Logger>();

const loggerOf = (phase: string): Logger => {
  const known = loggers.get(phase);
  if (known !== undefined) return known;
  const logger = new ScopedLogger({ serviceName: phase, logFormatter: new ServiceLogFormatter() });
  loggers.set(phase, logger);
  return logger;
};

/**
 * The log of a service function.
 *
 * @param phase the function's folder
 * @param always what every line of this log says besides, such as the request's id
 */
export const serviceLog = (phase: string, always: LogFields = {}): ServiceLog => {
  const logger = loggerOf(phase);
  return {
    debug: (message, fields) => logger.debug(message, { ...always, ...fields }),
    info: (message, fields) => logger.info(message, { ...always, ...fields }),
    warn: (message, fields) => logger.warn(message, { ...always, ...fields }),
    error: (message, error, fields) =>
      logger.error(message, { ...always, ...fields, error: describe(error) }),
  };
};
