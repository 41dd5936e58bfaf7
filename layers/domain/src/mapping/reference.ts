import { parseMapping } from './parse.ts';

/**
 * The mapping of the reference legacy schema (DESIGN section 3). An organisation writes one like it
 * and names its path in `KITS_MAPPING`. Columns that no rule names (`notes`, `patient_name`,
 * `patient_email`) are kept in `kits.legacy_attributes` and come back on the way back; `api` says under
 * which names the kits API shows them.
 */
export const referenceMapping = parseMapping({
  version: 1,
  name: 'reference',
  target: { schema: 'public', userIdType: 'uuid', practitionerIdType: 'uuid' },
  users: { table: 'users', id: 'id' },
  sources: {
    kit: {
      table: 'kit',
      id: { column: 'id' },
      owner: { type: 'client', userId: 'user_id' },
      api: { attributes: { notes: 'notes' } },
      columns: {
        kitNumber: 'kit_number',
        status: {
          column: 'status',
          values: {
            created: 'created',
            registered: 'registered',
            collected: 'collected',
            received: 'received',
            processing: 'processing',
            completed: 'completed',
            rejected: 'rejected',
            cancelled: 'cancelled',
          },
        },
        kitType: 'kit_type',
        orderId: 'order_id',
        metadata: 'metadata',
        registeredAt: 'registered_at',
        collectedAt: 'collected_at',
        receivedAt: 'received_at',
        resultedAt: 'resulted_at',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
      },
    },
    practitioner_kits: {
      table: 'practitioner_kits',
      id: { column: 'id' },
      owner: {
        type: 'practitioner',
        practitionerId: 'practitioner_id',
        practitioners: { table: 'practitioners', id: 'id', userId: 'user_id' },
      },
      api: { attributes: { patientName: 'patient_name', patientEmail: 'patient_email' } },
      columns: {
        kitNumber: 'kit_number',
        status: {
          column: 'status',
          values: {
            ordered: 'created',
            registered: 'registered',
            sampled: 'collected',
            at_lab: 'received',
            processing: 'processing',
            reported: 'completed',
            rejected: 'rejected',
            cancelled: 'cancelled',
          },
        },
        kitType: 'kit_type',
        orderId: 'order_id',
        metadata: 'metadata',
        registeredAt: 'registered_at',
        collectedAt: 'collected_at',
        receivedAt: 'received_at',
        resultedAt: 'resulted_at',
        createdAt: 'created_at',
        updatedAt: 'updated_at',
      },
    },
  },
});
