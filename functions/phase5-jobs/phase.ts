/** The function's folder, and its name in `kits_service.work_mark`. */
export const PHASE = 'phase5-jobs';
