// Quality of a value: the OPC UA StatusCode (OPC 10000-4 v1.05 §7.39). The two highest bits are the severity.

export type Severity = 'good' | 'uncertain' | 'bad';

export function severityOf(code: number): Severity {
  const top = (code >>> 30) & 3;
  return top === 0 ? 'good' : top === 1 ? 'uncertain' : 'bad';
}

/** The codes that Andon itself uses, by their upper half; the words stand under `quality.*` in the messages. */
const names: Readonly<Record<number, string>> = {
  0x0000: 'good',
  0x0096: 'override',
  0x4000: 'uncertain',
  0x4090: 'last_usable',
  0x4092: 'initial',
  0x4094: 'units_exceeded',
  0x8000: 'bad',
  0x8005: 'communication_error',
  0x8007: 'decoding_error',
  0x8031: 'no_communication',
  0x8032: 'waiting',
  0x803c: 'out_of_range',
  0x8074: 'type_mismatch',
  0x8089: 'configuration_error',
  0x808a: 'not_connected',
  0x808b: 'device_failure',
  0x808c: 'sensor_failure',
  0x808d: 'out_of_service',
  0x809b: 'no_data',
  0x809d: 'data_lost',
};

export type QualityName = `quality.${string}`;

/** The message key of a code; an unknown code falls back to its severity. */
export function qualityKey(code: number): QualityName {
  return `quality.${names[code >>> 16] ?? severityOf(code)}`;
}
