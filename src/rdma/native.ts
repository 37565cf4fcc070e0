/** The raw boundary to native/addon/rdma*: what the classes of this folder wrap. Types only. */

export interface NativeAvailability {
  readonly state: 'noLibrary' | 'noDevice' | 'usable';
  readonly reason: string;
  readonly cure: string;
}

export interface NativeDeviceInfo {
  readonly name: string;
  readonly driver: string;
  readonly guid: string;
  readonly characterDevice: string;
  readonly softRoce: boolean;
  readonly iwarp: boolean;
}

export interface NativeDeviceLimits {
  readonly memoryRegionBytesMax: number;
  readonly queuePairsMax: number;
  readonly workRequestsMax: number;
  readonly completionQueuesMax: number;
  readonly completionEntriesMax: number;
  readonly memoryRegionsMax: number;
  readonly protectionDomainsMax: number;
  readonly responderDepthMax: number;
  readonly initiatorDepthMax: number;
  readonly ports: number;
  readonly vendorId: number;
  readonly vendorPartId: number;
  readonly atomics: boolean;
  readonly firmwareVersion: string;
}

export interface NativePort {
  readonly number: number;
  readonly linkLayer: 'ethernet' | 'infiniband';
  readonly active: boolean;
  readonly state: string;
  readonly mtuBytes: number;
  readonly mtuBytesMax: number;
  readonly messageBytesMax: number;
  readonly lid: number;
  readonly speedMbps: number;
}

export interface NativeGid {
  readonly index: number;
  readonly gid: string;
  readonly type: string;
  readonly interface: string;
  readonly interfaceUp: boolean;
}

export interface NativeDevice {
  limits(): NativeDeviceLimits;
  port(number: number): NativePort;
  gids(port: number): NativeGid[];
  /** Empty when the port can carry traffic now. */
  portTrouble(port: number): string;
  close(): void;
}

export interface NativeProtectionDomain {
  close(): void;
}

export interface NativeRights {
  readonly remoteRead: boolean;
  readonly remoteWrite: boolean;
  readonly remoteAtomic: boolean;
  readonly relaxedOrdering: boolean;
}

export interface NativeArena {
  /** One for the arena's whole life. */
  readonly buffer: ArrayBuffer;
  /** Its number in RdmaRequest.arena. */
  readonly slot: number;
  remote(offset: number, length: number): { address: number; length: number; key: number };
  /** Detaches the buffer. Deregistered once no request uses it any more. */
  close(): void;
}

export interface NativeRefusal {
  readonly queuePair: number;
  /** Of its receives, or of all else. */
  readonly receives: boolean;
  /** So many of them were posted all the same. */
  readonly posted: number;
  readonly error: Error;
}

export interface NativeCompletionQueue {
  /** RdmaRequest records that submit posts. */
  readonly requests: ArrayBuffer;
  /** RdmaCompletion records, valid during onCompletions and after poll. */
  readonly completions: ArrayBuffer;
  readonly entries: number;
  submit(count: number): NativeRefusal[] | undefined;
  /** Gives the number of records in `completions`: of what is there, or comes within so many microseconds. */
  poll(limitUs: number): number;
  /** Fails, drains and destroys all its queue pairs. */
  close(): void;
}

export interface NativeDescriptor {
  readonly queuePairNumber: number;
  readonly packetSequenceNumber: number;
  readonly linkLayer: 'ethernet' | 'infiniband';
  readonly gid: string;
  readonly lid: number;
  readonly routeHeaderRequired: boolean;
  readonly mtuBytes: number;
  readonly responderDepth: number;
  readonly initiatorDepth: number;
}

export interface NativeQueuePair {
  readonly slot: number;
  readonly sendDepth: number;
  readonly receiveDepth: number;
  readonly inlineBytesMax: number;
  readonly requestBytesMax: number;
  readonly descriptor: NativeDescriptor;
  connect(peer: object): void;
  state(): string;
  terms(): { mtuBytes: number; responderDepth: number; initiatorDepth: number };
  fail(reason: string): void;
  failure(): Error | undefined;
  errorOf(operation: number, status: number, vendorError: number): Error | undefined;
  destroy(): void;
}

export interface NativeLiveObjects {
  readonly devices: number;
  readonly protectionDomains: number;
  readonly memoryRegions: number;
  readonly registeredBytes: number;
  readonly completionChannels: number;
  readonly completionQueues: number;
  readonly queuePairs: number;
  readonly registrations: number;
  readonly leaks: number;
}

/** Everything that throws does so with an Error that has `status` and, where known, verb, device, port, queuePair, peer. */
export interface NativeRdma {
  availability(): NativeAvailability;
  devices(): NativeDeviceInfo[];
  liveObjects(): NativeLiveObjects;
  readonly Device: new (name: string) => NativeDevice;
  readonly ProtectionDomain: new (device: NativeDevice) => NativeProtectionDomain;
  readonly Arena: new (domain: NativeProtectionDomain, bytes: number, rights: NativeRights) => NativeArena;
  readonly CompletionQueue: new (
    device: NativeDevice,
    entries: number,
    onCompletions: (count: number, broken?: Error) => void,
  ) => NativeCompletionQueue;
  readonly QueuePair: new (domain: NativeProtectionDomain, queue: NativeCompletionQueue, options: object) => NativeQueuePair;
}
