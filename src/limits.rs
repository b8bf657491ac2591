//! Every limit in one place, with its unit in its name.
//!
//! Not here: settings, which users may change. Must always hold: whatever grows has a limit here.

/// Most members of a cluster, learners included.
pub const MEMBERS_MAX: usize = 32;
/// The state hash is kept after entries whose index is a multiple of this.
pub const DIGEST_EVERY: u64 = 16;
/// Such hashes that a node keeps to compare with others.
pub const DIGESTS_MAX: usize = 256;
/// Longest name of a node in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 128;
/// Requests with a key whose first answers are kept; older ones are forgotten.
pub const ONCE_KEYS_MAX: u64 = 16_384;
/// Bytes of such keys and answers that are kept.
pub const ONCE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest `Idempotency-Key` in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How far a leader's clock may be from the voters' median before it is not followed, in milliseconds. Well above what NTP
/// leaves, well below what anybody lets a key live.
pub const CLOCK_SKEW_MS_MAX: u64 = 5_000;
/// Longest hashId in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Longest property name in bytes.
pub const PROPERTY_BYTES_MAX: usize = 1024;
/// Most properties in one record.
pub const RECORD_PROPERTIES_MAX: usize = 4096;
/// Deepest directory of the virtual tree. Source: paths of 4,096 bytes with names of some length.
pub const TREE_DEPTH_MAX: usize = 64;
/// Most places that one file may have in the virtual tree.
pub const FILE_LINKS_MAX: usize = 64;
/// Entries that a whole listing reads from a directory while it holds the tree's lock.
pub const LISTING_PAGE_ENTRIES: usize = 1024;
/// Longest source path in bytes. Source: PATH_MAX of Linux.
pub const SOURCE_PATH_BYTES_MAX: usize = 4096;
/// Longest generic key in bytes.
pub const KEY_BYTES_MAX: usize = 16 * 1024;
/// Largest value over HTTP in bytes.
pub const HTTP_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Longest member of a set, or name of a field of a hash, in bytes.
pub const MEMBER_BYTES_MAX: usize = 64 * 1024;
/// Expired keys that one log entry removes before its own work; the others are absent for readers all the same.
pub const EXPIRED_KEYS_PER_ENTRY: usize = 256;
/// Elements of deleted objects that one log entry sweeps away, beside as many as it created.
pub const SWEPT_ELEMENTS_PER_ENTRY: usize = 256;
/// Most elements that one operation copies or combines (COPY, SINTERSTORE, …); beyond it is refused.
pub const OPERATION_ELEMENTS_MAX: u64 = 100_000;
/// Most entries of one stream that one operation gives to a consumer, or looks at for it; a client asks again.
pub const DELIVERED_ENTRIES_MAX: u64 = 10_000;
/// Largest value over RESP in bytes.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Values are cut into chunks of this many bytes in the store.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Applied entries that the change feed remembers for followers that are busy.
pub const FEED_SETS_MAX: usize = 8192;
/// The same in events: about 100 MB when every one of them carries a record of its own.
pub const FEED_WEIGHT_MAX: usize = 256 * 1024;
/// A derived window of old events that nobody has read for this long is forgotten, in seconds.
pub const DERIVED_IDLE_SECONDS: u64 = 60;
/// Series of one metric, one for each combination of label values; what comes after is counted under `other`.
pub const METRIC_SERIES_MAX: usize = 1024;
/// Files that are pinned to their names in one hand-over.
pub const PIN_BATCH_RECORDS: usize = 1024;
/// Events of a scan that wait while a batch is on its way.
pub const SCAN_QUEUE_EVENTS: usize = 1024;
/// Lines in one request of an import.
pub const IMPORT_REQUEST_LINES: usize = 2000;
/// Bytes in one request of an import, passed by at most one line.
pub const IMPORT_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Longest line of an import in bytes.
pub const IMPORT_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Refused lines that an import reports one by one.
pub const IMPORT_REPORTED_ERRORS_MAX: usize = 20;
/// Longest server-sent event that the command line reads, in bytes.
pub const SSE_EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files that `scan` reads and hashes as one block, before their records are made in order.
pub const SCAN_BLOCK_FILES: usize = 256;

/// How long the kernel may keep a name, or its absence, and attributes in milliseconds. An hour once every change is
/// pushed; half a second while nothing is, so that a change is visible within one.
pub const FUSE_TTL_MS: u64 = 500;
/// An open, or a read that the daemon serves, is answered EIO when the disk takes longer, in milliseconds: nobody
/// waits in state D for a dead disk.
pub const FUSE_DISK_DEADLINE_MS: u64 = 10_000;
/// Threads that may wait for the files' disk at a time.
pub const FUSE_POOL_THREADS: usize = 8;
/// Opens and reads that may wait for one of those threads.
pub const FUSE_POOL_JOBS_MAX: usize = 1024;
/// Threads that read requests from the kernel.
pub const FUSE_SESSION_THREADS_MAX: usize = 4;
/// Background requests (read-ahead) that the kernel keeps under way; fuser's 16 starves parallel readers.
pub const FUSE_BACKGROUND_MAX: u16 = 64;
/// Read-ahead of the mount in KiB, where the daemon serves the bytes.
pub const FUSE_READ_AHEAD_KIB: u32 = 1024;
/// How long a question to a mount point or a volume may take at start, in milliseconds.
pub const FUSE_PROBE_DEADLINE_MS: u64 = 2_000;
/// How long stopping waits for the session's threads in milliseconds.
pub const FUSE_DETACH_DEADLINE_MS: u64 = 5_000;
/// Age in milliseconds after which the volume's free space is asked for again.
pub const FUSE_SPACE_AGE_MS: u64 = 5_000;
/// Longest file name in bytes. Source: `NAME_MAX` of Linux.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest rules file in bytes.
pub const RULES_BYTES_MAX: usize = 256 * 1024;
/// Most rules in one view.
pub const RULES_PER_VIEW_MAX: usize = 1024;
/// Most views in one rule set.
pub const RULE_VIEWS_MAX: usize = 32;
/// Longest template in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 4096;
/// Deepest nesting of groups and conditionals in one template.
pub const TEMPLATE_DEPTH_MAX: usize = 16;
/// Most parts of one template once its `@var` templates are put in: bounds the work of placing one file.
pub const TEMPLATE_PARTS_MAX: usize = 2048;
/// Deepest nesting of conditions.
pub const CONDITION_DEPTH_MAX: usize = 16;
/// Longest regular expression of a rule in bytes.
pub const REGEX_BYTES_MAX: usize = 1024;
/// Largest compiled regular expression of a rule in bytes.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;
/// Most items read from one multi-valued property, and most episodes in one file.
pub const VALUE_ITEMS_MAX: usize = 256;
/// Longest path component in bytes on every filesystem we serve (NAME_MAX of Linux, 255 units on Windows).
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Largest body of one record or one command over HTTP in bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest request target (path and query) in bytes; longer is 414.
pub const HTTP_TARGET_BYTES_MAX: usize = 8 * 1024;
/// Largest request head in bytes; longer is 431.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields in one request.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Properties that an import packs into one hand-over to the log.
pub const IMPORT_BATCH_PROPERTIES: usize = 4096;
/// Bytes of lines that an import packs into one hand-over to the log.
pub const IMPORT_BATCH_BYTES: usize = 1024 * 1024;
/// Hand-overs of one import that may be in flight.
pub const IMPORT_IN_FLIGHT_MAX: usize = 32;
/// Refused lines that an import's answer describes; the others are only counted.
pub const IMPORT_ERRORS_MAX: usize = 100;
/// Records that an export reads at once.
pub const EXPORT_PAGE_RECORDS: usize = 256;
/// Events that a server-sent stream reads at once.
pub const SSE_PAGE_EVENTS: usize = 256;
/// Largest page of a list or search in records.
pub const LIST_RECORDS_MAX: usize = 10_000;
/// Page cache of the state store in bytes. Real memory is about twice this.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How often the state store's flusher runs, in milliseconds; it also collects garbage.
pub const STORE_FLUSH_EVERY_MS: u64 = 500;
/// Pages of [`SCAN_PAGE_KEYS`] records that are read ahead of the first tree. Decoded they take about a megabyte each,
/// which the allocator keeps.
pub const FIRST_SCAN_PAGES_MAX: usize = 1;
/// Keys read in one step of a scan of the state.
pub const SCAN_PAGE_KEYS: usize = 512;
/// The raw tail of `meta:events` keeps at least this many events.
pub const TAIL_EVENTS_MIN: u64 = 100_000;
/// Deleted records whose deletion is remembered for consumers that resume below the tail.
pub const TOMBSTONES_MAX: u64 = 1_000_000;
/// Deleted properties that one record remembers.
pub const PROPERTY_TOMBSTONES_MAX: usize = 64;
/// Longest value that is kept inside its record, in bytes.
pub const INLINE_BYTES: usize = 4096;
/// The same, once the record's inline values exceed [`RECORD_INLINE_BYTES`].
pub const INLINE_BYTES_LATE: usize = 256;
/// Inline bytes after which a record takes only short values in.
pub const RECORD_INLINE_BYTES: usize = 64 * 1024;
/// A batch of the write-behind is closed once it has this many keys.
pub const STORE_BATCH_KEYS: usize = 512;
/// How long a smaller batch waits for company, in milliseconds.
pub const STORE_LINGER_MS: u64 = 100;
/// Bytes that may wait in RAM for the store; apply waits beyond.
pub const OVERLAY_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Bytes of values that are kept in RAM as the store has them.
pub const RECENT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Larger values are read from the store each time.
pub const RECENT_VALUE_BYTES_MAX: usize = 4096;
/// What one kept value costs beside its key and its bytes.
pub const RECENT_ENTRY_BYTES: usize = 160;
/// What one overlay entry costs beside its key and value, in bytes.
pub const OVERLAY_ENTRY_BYTES: usize = 96;
/// A snapshot block is closed once its pairs have this many bytes.
pub const SNAPSHOT_BLOCK_BYTES: usize = 128 * 1024;
/// No block is larger than this when unpacked.
pub const SNAPSHOT_BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Keys that a snapshot reads in one step, while the write-behind waits.
pub const SNAPSHOT_SCAN_KEYS: usize = 256;
/// One log entry is at most this large, in bytes.
pub const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The intake packs requests into one entry up to this many bytes.
pub const ENTRY_PACK_BYTES: usize = 1024 * 1024;
/// The intake packs at most this many requests into one entry.
pub const ENTRY_REQUESTS_MAX: usize = 4096;
/// Entries on their way at once; what arrives meanwhile shares the next one.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 4;
/// Hand-overs of one node that are on their way at once, or whose outcome is not known yet.
pub const HAND_OVERS_IN_FLIGHT_MAX: usize = 4;
/// Most hand-overs in one entry.
pub const ENTRY_HAND_OVERS_MAX: usize = 64;
/// How long a request that was never proposed waits for a leader, in milliseconds. Source: design D8.
pub const LEADER_WAIT_MS: u64 = 2_000;
/// A hand-over that a leader did not take is sent again after this, in milliseconds, unless a new leader is known sooner.
pub const RESEND_AFTER_MS: u64 = 20;
/// The same after many refusals in a row: it doubles up to here.
pub const RESEND_AFTER_MS_MAX: u64 = 500;
/// Bytes that may wait at the intake before requests are refused as `Busy`.
pub const INTAKE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Blocks of the events' tail read in one step.
pub const TAIL_PAGE_BLOCKS: usize = 64;
/// Derived events kept for one pass of a consumer that starts below the tail.
pub const DERIVED_EVENTS_MAX: usize = 1_000_000;
/// Threads that may wait for the files' disk for the HTTP door.
pub const HTTP_DISK_THREADS: usize = 64;
/// File bytes that the HTTP door reads at once.
pub const HTTP_CHUNK_BYTES: usize = 256 * 1024;
/// Parts of one multipart answer.
pub const HTTP_RANGES_MAX: usize = 16;
/// File bytes that are hashed at once for a CID.
pub const CID_CHUNK_BYTES: usize = 1024 * 1024;
/// Previews of a rule change when the request does not say how many.
pub const RULE_PREVIEWS_DEFAULT: usize = 100;
/// Records in a page of the editor's list when the request does not say how many.
pub const EDITOR_LIST_DEFAULT: u64 = 100;
/// Keys in a page of the key browser when the request does not say how many.
pub const KV_KEYS_DEFAULT: u64 = 50;
/// How far the log index goes on above that of a restored snapshot: no index is given twice.
pub const RESTORE_INDEX_STEP: u64 = 1 << 32;
/// How far ids of events go on above everything that the old cluster can have given out, in milliseconds: more than its clocks
/// can have been ahead.
pub const RESTORE_EVENTS_STEP_MS: u64 = 3_600_000;
/// How far inode numbers go on above those of a restored snapshot.
pub const RESTORE_INODES_STEP: u64 = 1 << 24;
/// How long a node takes at most to write a snapshot that somebody asked for, in seconds.
pub const SNAPSHOT_EXPORT_SECONDS: u64 = 600;
/// Free bytes of the data directory's disk below which `metad doctor` reports a failure, and a warning.
pub const DOCTOR_FREE_BYTES_FAIL: u64 = 256 * 1024 * 1024;
/// As [`DOCTOR_FREE_BYTES_FAIL`], for the warning.
pub const DOCTOR_FREE_BYTES_WARN: u64 = 2 * 1024 * 1024 * 1024;
/// Open files allowed below which `metad doctor` warns: connections and files being read share them.
pub const DOCTOR_OPEN_FILES_WARN: u64 = 8192;
/// Entries behind the newest snapshot at which `metad doctor` warns: a snapshot is due every 50,000, or less often when it is
/// large.
pub const DOCTOR_SNAPSHOT_ENTRIES_WARN: u64 = 600_000;
/// Commands of one pipeline that are answered together, and at most in one hand-over.
pub const RESP_BATCH_COMMANDS_MAX: usize = 1024;
/// Operations of one pipeline are handed over once they have this many bytes.
pub const RESP_HAND_OVER_BYTES: usize = 1024 * 1024;
/// Longest line of the Redis protocol in bytes. Source: `PROTO_INLINE_MAX_SIZE` of Redis.
pub const RESP_LINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one Redis command.
pub const RESP_ARGUMENTS_MAX: usize = 1024 * 1024;
/// Most arguments of one Redis command before AUTH. Source: Redis.
pub const RESP_ARGUMENTS_BEFORE_AUTH: usize = 10;
/// Longest argument of a Redis command in bytes; the longest value has room.
pub const RESP_BULK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest argument of a Redis command before AUTH in bytes. Source: Redis.
pub const RESP_BULK_BYTES_BEFORE_AUTH: usize = 16 * 1024;
/// Bytes of one Redis command that is not complete yet.
pub const RESP_COMMAND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of answers after which they are sent before the pipeline goes on.
pub const RESP_OUTPUT_BYTES: usize = 1024 * 1024;
/// Buffer of an idle Redis connection in bytes, once for each direction.
pub const RESP_IDLE_BUFFER_BYTES: usize = 4 * 1024;
/// Most bytes that one read of a Redis connection makes room for.
pub const RESP_READ_BYTES_MAX: usize = 1024 * 1024;
/// Commands that wait in one MULTI.
pub const RESP_QUEUED_COMMANDS_MAX: usize = 64 * 1024;
/// Bytes of commands that wait in one MULTI.
pub const RESP_QUEUED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of answers that the reads of one EXEC hold; those behind are refused.
pub const RESP_EXEC_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Keys that one connection watches.
pub const RESP_WATCHED_KEYS_MAX: usize = 16 * 1024;
