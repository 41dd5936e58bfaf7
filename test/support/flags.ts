import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { FLAG_PARAMETERS, type FlagName, STAGE_DEFINITIONS } from '@unified-kits/domain';
import { type Rig, stageOf } from './system.ts';

/** Sets one flag as an operator does in the console; `flag-changed` hears of it after the call. */
export const setFlag = async (
  { system }: Pick<Rig, 'system'>,
  flag: FlagName,
  value: boolean | number,
  environment = 'test',
): Promise<void> => {
  await system.ssm.send(
    new PutParameterCommand({
      Name: `/unified-kits/${environment}/${FLAG_PARAMETERS[flag].parameter}`,
      Value: String(value),
      Type: 'String',
      Overwrite: true,
    }),
  );
};

/** The same; resolves when `flag-changed` has dealt with it. */
export const putFlag = async (
  rig: Pick<Rig, 'system'>,
  flag: FlagName,
  value: boolean | number,
): Promise<void> => {
  await setFlag(rig, flag, value);
  await rig.system.aws.parameterChangesHandled();
};

/**
 * Brings the flags to what a stage says that was reached without them. One by one they would ask for other
 * stages on the way; a wish that contradicts itself is put back to what holds, all at once.
 */
export const flagsFollowStage = async (rig: Rig): Promise<void> => {
  await rig.system.flags.ensure();
  await rig.system.aws.parameterChangesHandled();
  const stage = await stageOf(rig);
  const contradiction = STAGE_DEFINITIONS[stage].writes === 'kits';
  if (contradiction) await putFlag(rig, 'unifiedWrites', true);
};
