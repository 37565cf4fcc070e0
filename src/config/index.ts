/** Reading and checking configuration. */
export { ConfigError, type ConfigProblem, formatProblem } from './config-error.js';
export {
  type ClientConfig,
  type ConfigKind,
  type ConfigOf,
  configKinds,
  environmentName,
  type MetaConfig,
  type MgmtdConfig,
  type StorageConfig,
} from './kinds.js';
export { defaultConfigFile, flagName, type LoadOptions, loadConfig } from './load.js';
export { formatAddress, parseAddress, parseDuration, parseSize } from './units.js';
