/**
 * Where things stand in the tables that the inner loops and their owners share: numbers of 32-bit fields of a table's block. Read by both sides, so
 * this file is TypeScript and AssemblyScript at once: constants only.
 */

/** What one call may pass through the scratch room: the largest attribute key, four messages of 65,535 octets. */
export const CORE_SCRATCH_OCTETS = 1 << 18;

/** A table of prefixes (src/net/prefix-table.ts). */
/** words an address: 1 or 4 */
export const PREFIX_WORDS_EACH = 0;
/** by prefix id: its address, `PREFIX_WORDS_EACH` words; the first one of a free id is the next free id, or -1 */
export const PREFIX_WORDS = 1;
/** by prefix id: its length, FREE_LENGTH for an id that is free again (octets) */
export const PREFIX_LENGTHS = 2;
export const PREFIX_FIRST_FREE = 3;
/** one more than the highest id given out */
export const PREFIX_USED = 4;
/** ids below this one have been opened */
export const PREFIX_OPENED = 5;
export const PREFIX_SIZE = 6;
/** two words a bucket: address of its slots, and prefixes * 32 + slots as a power of two */
export const PREFIX_BUCKETS = 7;
/** buckets - 1 */
export const PREFIX_BUCKET_MASK = 8;
/** buckets with slots */
export const PREFIX_BUCKETS_TAKEN = 9;
/** makes the slots unknown to a peer that would choose its prefixes so that they collide */
export const PREFIX_SEED = 10;
/** where the next piece of slots begins, and how many octets are left there */
export const PREFIX_ARENA = 11;
export const PREFIX_ARENA_LEFT = 12;
/** by power of two: chain of pieces of slots that are free again */
export const PREFIX_FREE_PIECES = 13;
/** the first of a chain of pieces of memory, which slots are made of */
export const PREFIX_CHUNKS = 45;
export const PREFIX_FIELDS = 46;
export const FREE_LENGTH = 255;

/** One family of a RIB (bgp/rib/family-rib.ts). */
/** the block of its table of prefixes */
export const FAMILY_PREFIXES = 0;
/** the block of its paths */
export const FAMILY_PATHS = 1;
/** the block of the RIB's attributes */
export const FAMILY_ATTRIBUTES = 2;
/** by prefix id: attributes of the best path (a reference is held), or -1 */
export const FAMILY_BEST_ATTRIBUTE = 3;
/** by prefix id: peer of the best path (16 bits) */
export const FAMILY_BEST_PEER = 4;
/** by prefix id: set of selected next hops, or a code below 0 */
export const FAMILY_SELECTED = 5;
/** by prefix id: peers to which it has been announced (16 bits) */
export const FAMILY_HOLDERS = 6;
/** by prefix id: PREFIX_DIRTY, PREFIX_CHANGED (octets) */
export const FAMILY_FLAGS = 7;
/** by prefix id: 1 where a learned path is selected that the FIB has not taken (octets); 0: there is no FIB to wait for */
export const FAMILY_HELD_BACK = 8;
/** prefixes that wait for a decision: where they stand, how many, how many have room */
export const FAMILY_DIRTY = 9;
export const FAMILY_DIRTY_COUNT = 10;
export const FAMILY_DIRTY_ROOM = 11;
/** those that are being decided: where they stand, how many, how many are done */
export const FAMILY_CURRENT = 12;
export const FAMILY_CURRENT_COUNT = 13;
export const FAMILY_CURRENT_AT = 14;
/** prefixes whose selection changed: where they stand, how many, how many have room */
export const FAMILY_CHANGED = 15;
export const FAMILY_CHANGED_COUNT = 16;
export const FAMILY_CHANGED_ROOM = 17;
/** 1: somebody wants to hear of changed selections */
export const FAMILY_REPORTS_CHANGES = 18;
/** 1: only local paths are selected */
export const FAMILY_DEFERRED = 19;
/** 1: paths that are not the best one count too, so that every change has a prefix decided */
export const FAMILY_LOOKS_AT_ALL = 20;
/** of the prefixes decided last, those with another best path, and from whom (16 bits) and with what they had it before: addresses */
export const FAMILY_MOVED = 21;
export const FAMILY_MOVED_FROM = 22;
export const FAMILY_REPLACED = 23;
/** the blocks of the RIB's next hops and of its peers */
export const FAMILY_NEXT_HOPS = 24;
export const FAMILY_PEERS = 25;
/** 1: several paths may be used together */
export const FAMILY_TAKES_SEVERAL = 26;
/** 1: the older of two external paths is not preferred */
export const FAMILY_COMPARES_ROUTER_ID = 27;
/** how many prefixes the list that is worked off has room for */
export const FAMILY_CURRENT_ROOM = 28;
/** 1: somebody hears of every decision */
export const FAMILY_TELLS_DECIDED = 29;
/** the blocks of its update groups: where their addresses stand, and how many */
export const FAMILY_GROUPS = 30;
export const FAMILY_GROUP_COUNT = 31;
export const FAMILY_FIELDS = 32;

/** prefixes that are decided before anybody is told: what FAMILY_MOVED and its like have room for */
export const FAMILY_BATCH = 256;

/** a list of prefixes that grew beyond this is made small again once it is empty */
export const LARGE_LIST = 1 << 20;

/** in place of a set of next hops: there is no path, or it was originated here */
export const NO_PATH = -1;
export const LOCAL_PATH = -2;

/** the peer whose paths are the locally originated ones */
export const LOCAL_PEER = 0;

/** the prefix waits for a decision */
export const PREFIX_DIRTY = 1;
/** its selection changed since that was last told */
export const PREFIX_CHANGED = 2;

/** What the decision compares of peers, by peer id (bgp/rib/peers.ts). */
/** BGP identifiers, unsigned */
export const PEERS_ROUTER_ID = 0;
/** 1: eBGP (octets) */
export const PEERS_EXTERNAL = 1;
/** 1: an iBGP peer that is our client (octets) */
export const PEERS_CLIENT = 2;
/** position in the order of the peers' addresses */
export const PEERS_ADDRESS_RANK = 3;
export const PEERS_FIELDS = 4;

/** A packer of UPDATEs (bgp/wire/packer.ts). */
/** octets of an address of the family: 4 or 16 */
export const PACK_ADDRESS_OCTETS = 0;
/** sum of what the peer takes: PACK_AS4, PACK_EXTENDED_NEXT_HOP, PACK_ADD_PATH */
export const PACK_OPTIONS = 1;
/** octets of the longest message that it takes */
export const PACK_LONGEST = 2;
/** where the message under way begins, or else the next one */
export const PACK_START = 3;
/** the first octet that there is no room for */
export const PACK_END = 4;
/** where the next NLRI goes; PACK_START: no message is under way */
export const PACK_AT = 5;
/** the first octet that NLRI may not take */
export const PACK_LIMIT = 6;
export const PACK_FIRST_NLRI = 7;
/** where the MP attribute stands; 0: NLRI or withdrawn routes stand in the body */
export const PACK_MP = 8;
/** 1: the message announces */
export const PACK_IS_REACH = 9;
/** the attributes of the message, all but NEXT_HOP and MP_REACH_NLRI: the key's own, or the narrow ones */
export const PACK_ATTRIBUTES = 10;
export const PACK_ATTRIBUTES_END = 11;
/** where the attributes of a key are put that go to a peer with narrow AS numbers, how many octets they have, and of which key they are */
export const PACK_NARROW = 12;
export const PACK_NARROW_OCTETS = 13;
export const PACK_NARROW_KEY = 14;
export const PACK_FIELDS = 15;

export const PACK_AS4 = 1;
export const PACK_EXTENDED_NEXT_HOP = 2;
export const PACK_ADD_PATH = 4;

/** answers to the question for a new message */
export const PACK_BEGUN = 0;
export const PACK_NO_ROOM = 1;
export const PACK_UNSENDABLE = 2;

/** A reader of UPDATEs (bgp/wire/plain-update.ts). */
/** what was negotiated, READ_AS4 and the like together */
export const READ_TERMS = 0;
/** what an AS_PATH has to begin with, if READ_FIRST_AS_REQUIRED */
export const READ_FIRST_AS = 1;
/** where attribute keys are written, READ_KEY_MOST octets, and how long the last one is */
export const READ_KEY_ROOM = 2;
export const READ_KEY_OCTETS = 3;
/** where attributes are noted, READ_ATTRIBUTES_MOST entries of 16 octets, and how many are */
export const READ_ENTRIES = 4;
export const READ_COUNT = 5;
/** NLRI that are withdrawn: addresses, 0 if there are none; 1 if they are of IPv6; 1 if they have path identifiers */
export const READ_WITHDRAWN_START = 6;
export const READ_WITHDRAWN_END = 7;
export const READ_WITHDRAWN_IPV6 = 8;
export const READ_WITHDRAWN_ADD_PATH = 9;
/** the same of those that are announced */
export const READ_REACH_START = 10;
export const READ_REACH_END = 11;
export const READ_REACH_IPV6 = 12;
export const READ_REACH_ADD_PATH = 13;
/** octets of the longest message that may come */
export const READ_MESSAGE_MOST = 14;
/** blocks that the routes of the peer go to: attributes, the rules of import, its families and what came from it (of IPv4, then of IPv6) */
export const READ_ATTRIBUTES = 15;
export const READ_IMPORT = 16;
export const READ_FAMILIES = 17;
export const READ_INPUTS = 19;
/** time of arrival */
export const READ_TICK = 21;
/** messages that were taken in last */
export const READ_MESSAGES = 22;
export const READ_FIELDS = 23;
/** a next hop, and a message of 65,535 octets whose AS_PATH grows to twice as much */
export const READ_KEY_MOST = 1 << 18;
export const READ_ATTRIBUTES_MOST = 64;
/**
 * An AS_PATH with more octets, as it stands in a key, is not taken: its length has 16 bits there, and 4-octet numbers and those that are put in
 * front must not overflow them.
 */
export const AS_PATH_MOST = 60000;
// READ_TERMS
/** AS numbers have four octets */
export const READ_AS4 = 1;
export const READ_IBGP = 2;
export const READ_EXTENDED_NEXT_HOP = 4;
export const READ_NO_SETS = 8;
export const READ_FIRST_AS_REQUIRED = 16;
export const READ_IPV4 = 32;
export const READ_IPV6 = 64;
export const READ_ADD_PATH_IPV4 = 128;
export const READ_ADD_PATH_IPV6 = 256;

/** Adj-RIB-In of a family (bgp/rib/path-table.ts). */
/** by prefix id: first record, or -1. Once the prefix is decided, that is the best path, if there is one */
export const PATHS_HEAD = 0;
/** by prefix id: a bit for each remainder of the numbers of its peers by 16 (16 bits) */
export const PATHS_PEER_BITS = 1;
/** by record: next record of the same prefix, or -1 */
export const PATHS_NEXT = 2;
/** by record: prefix id, or -1 for a free record */
export const PATHS_PREFIX = 3;
/** by record: attributes as received */
export const PATHS_ATTRIBUTE = 4;
/** by record: attributes after import policy, or a negative code of an unusable path */
export const PATHS_EFFECTIVE = 5;
/** by record: time of arrival in ticks of the RIB's clock */
export const PATHS_TICK = 6;
/** by record: generation of the peer's session (octets) */
export const PATHS_GENERATION = 7;
/** by record: path identifier; 0: there is none other than 0 */
export const PATHS_PATH_ID = 8;
/** records that the columns have room for, a multiple of a page */
export const PATHS_CAPACITY = 9;
/** records of a page, as a power of two */
export const PATH_PAGE_BITS = 8;
/** by page: the peer that has it (16 bits) */
export const PATHS_PAGE_PEER = 10;
/** by page: one more than the next page of the same peer, or of those that nobody has; 0 at the end */
export const PATHS_NEXT_PAGE = 11;
/** pages given out so far */
export const PATHS_PAGES = 12;
/** one more than the first page that nobody has any more, or 0 */
export const PATHS_FREE_PAGES = 13;
/** by peer: what paths.ts knows of it; there is room for so many */
export const PATHS_PEERS = 14;
export const PATHS_PEERS_ROOM = 15;
/** paths that claim a block of our own */
export const PATHS_CONFLICTS = 16;
export const PATHS_FIELDS = 17;
/** an `effective` code: rejected by policy since the prefix belongs to one of our own blocks */
export const EFFECTIVE_CONFLICT = -6;

/** An update group (bgp/rib/update-group.ts). */
/** the block of its family */
export const GROUP_FAMILY = 0;
/** by prefix id: attributes as exported, NOT_EXPORTED or UNKNOWN_FORM, less the latter, so that what was never written to is not known */
export const GROUP_OUT = 1;
/** by prefix id: position of its newest entry in the log */
export const GROUP_POSITION = 2;
/** prefixes whose export changed: where they stand, how many, how many have room */
export const GROUP_LOG = 3;
export const GROUP_LOG_COUNT = 4;
export const GROUP_LOG_ROOM = 5;
/** no member has read at or beyond this position */
export const GROUP_FURTHEST = 6;
export const GROUP_MEMBERS = 7;
/** positions of the log that are kept for other members, from and before; -1: none */
export const GROUP_SHARED_FROM = 8;
export const GROUP_SHARED_TO = 9;
/** the block of its export rules; 0: they look at prefixes */
export const GROUP_EXPORT = 10;
/** the only member's peer id, or NO_PEER */
export const GROUP_LONE_PEER = 11;
/** of the columns by prefix id, entries that there is memory for: those before this one */
export const GROUP_TOUCHED = 12;
export const GROUP_FIELDS = 13;
export const NO_PEER = -1;

/** in place of attributes: the path is not announced */
export const NOT_EXPORTED = -1;
/** not computed yet: a peer that is told of it will ask */
export const UNKNOWN_FORM = -2;

/** The store of path attributes (bgp/rib/attribute-store.ts). */
/** by attribute id: four words, where its key stands (for a free id the next one), octets of the key, hash, references */
export const ATTRIBUTE_ENTRIES = 0;
/** two words a slot: hash, and id + 1 or 0 */
export const ATTRIBUTE_SLOTS = 1;
/** slots - 1 */
export const ATTRIBUTE_SLOT_MASK = 2;
/** makes the slots unknown to a peer that would choose its attributes so that they collide */
export const ATTRIBUTE_SEED = 3;
/** ids that there is room for */
export const ATTRIBUTE_CAPACITY = 4;
/** one more than the highest id given out */
export const ATTRIBUTE_USED = 5;
export const ATTRIBUTE_FIRST_FREE = 6;
export const ATTRIBUTE_SIZE = 7;
/** where the next key goes, and how many octets are left there */
export const ATTRIBUTE_ARENA = 8;
export const ATTRIBUTE_ARENA_LEFT = 9;
/** by octets of a key / 16, rounded up: chain of pieces of memory that are free again */
export const ATTRIBUTE_FREE_ROOM = 10;
/** of the ids whose columns have been read, those with a MED */
export const ATTRIBUTE_WITH_MED = 11;
/** the block of the table of next hops */
export const ATTRIBUTE_NEXT_HOPS = 12;
/** by attribute id: paths that were received with it */
export const ATTRIBUTE_USES = 13;
/** by attribute id: id of its next hop, or -1 */
export const ATTRIBUTE_NEXT_HOP = 14;
/** by attribute id, read from its key: 64-bit floating point; below 0: nothing has been read yet */
export const ATTRIBUTE_RANK = 15;
export const ATTRIBUTE_LOCAL_PREF = 16;
export const ATTRIBUTE_MED = 17;
export const ATTRIBUTE_NEIGHBOUR_AS = 18;
export const ATTRIBUTE_ORIGINATOR_ID = 19;
export const ATTRIBUTE_PATH_HASH = 20;
/** 32-bit floating point */
export const ATTRIBUTE_LINK_BANDWIDTH = 21;
/** 16 bits */
export const ATTRIBUTE_PATH_LENGTH = 22;
/** 16 bits */
export const ATTRIBUTE_CLUSTER_LENGTH = 23;
/** 16 bits: HAS_LOCAL_PREF and so on */
export const ATTRIBUTE_FLAGS = 24;
/** octets */
export const ATTRIBUTE_ORIGIN = 25;
/** 1: somebody remembers something made of these attributes, and is told when they go (octets) */
export const ATTRIBUTE_NOTED = 26;
/** the blocks of exports, which have forms by attribute id: where their addresses stand, and how many */
export const ATTRIBUTE_EXPORTS = 27;
export const ATTRIBUTE_EXPORT_COUNT = 28;
export const ATTRIBUTE_FIELDS = 29;

/** Bits of the flags of attributes. */
export const HAS_LOCAL_PREF = 1;
export const HAS_MED = 2;
export const HAS_ORIGINATOR = 4;
export const NO_EXPORT = 8;
export const NO_ADVERTISE = 16;
export const NO_EXPORT_SUBCONFED = 32;
/** RFC 8326 */
export const GRACEFUL_SHUTDOWN = 64;
/** RFC 9494 */
export const LLGR_STALE = 128;
export const NO_LLGR = 256;
/** RFC 9234 */
export const HAS_OTC = 512;

/** LOCAL_PREF of a route that carries none (RFC 4271 leaves it to us; 100 is what everybody uses). */
export const DEFAULT_LOCAL_PREF = 100;
/** What a local path is ahead by: more than any rank, which has 51 bits. */
export const LOCAL_AHEAD = 0x8_0000_0000_0000;
/** Link bandwidth (RFC 10005) of a path that carries no usable community. */
export const NO_BANDWIDTH = -1;

/** The table of next hops (bgp/rib/next-hops.ts). */
/** by next-hop id: attribute ids, and sets of next hops, that have it */
export const NEXT_HOP_REFERENCES = 0;
/** by next-hop id: attribute ids with it that routes carry */
export const NEXT_HOP_INTEREST = 1;
/** by next-hop id: 1 where routes over it may be used (octets) */
export const NEXT_HOP_USABLE = 2;
/** by next-hop id: cost of the way there */
export const NEXT_HOP_METRIC = 3;
/** those that were asked for lately, by a hash of their octets */
export const NEXT_HOP_RECENT = 4;
export const NEXT_HOP_FIELDS = 5;
/** entries there, a power of two, and octets of one */
export const NEXT_HOP_RECENT_ENTRIES = 64;
export const NEXT_HOP_RECENT_OCTETS = 32;
/** Changes to an attribute key (bgp/policy/key-rewrite.ts). */
/** sum of what is to be done: REWRITE_SETS_NEXT_HOP to REWRITE_LEAVES_AS */
export const REWRITE_CHANGES = 0;
/** octets of the next hop, and these: 8 fields */
export const REWRITE_NEXT_HOP_OCTETS = 1;
export const REWRITE_NEXT_HOP = 2;
export const REWRITE_MED = 10;
export const REWRITE_LOCAL_PREF = 11;
export const REWRITE_COMMUNITY = 12;
/** 3 fields */
export const REWRITE_LARGE = 13;
/** AS numbers to stand in front of the AS_PATH, and how many */
export const REWRITE_PREPEND_COUNT = 16;
export const REWRITE_PREPEND = 17;
export const REWRITE_PREPEND_MOST = 255;
export const REWRITE_FIELDS = 272;
export const REWRITE_SETS_NEXT_HOP = 1;
export const REWRITE_SETS_MED = 2;
export const REWRITE_REMOVES_MED = 4;
export const REWRITE_SETS_LOCAL_PREF = 8;
export const REWRITE_REMOVES_LOCAL_PREF = 16;
export const REWRITE_ADDS_COMMUNITY = 32;
export const REWRITE_ADDS_LARGE = 64;
/** leaves out optional non-transitive attributes but MED, and extended communities that stay within an AS (RFC 4360 6) */
export const REWRITE_LEAVES_AS = 128;
/** octets of the longest key that is changed */
export const REWRITE_KEY_MOST = 1 << 17;
/** A batch of routes on its way into messages (bgp/rib/output-batch.ts). */
/** the blocks of the packer that writes it, and of the RIB's attributes */
export const BATCH_PACKER = 0;
export const BATCH_ATTRIBUTES = 1;
/** by entry: prefix id; record of the path, where several are announced; the next entry with the same attributes, or -1 */
export const BATCH_PREFIXES = 2;
export const BATCH_RECORDS = 3;
export const BATCH_NEXT = 4;
export const BATCH_COUNT = 5;
/** entries that there is room for */
export const BATCH_CAPACITY = 6;
/** by set of attributes in order of appearance, four words: attribute id, first and last entry, slot */
export const BATCH_SETS = 7;
export const BATCH_SET_COUNT = 8;
/** by attribute id: place in BATCH_SETS + 1, or 0; open addressing */
export const BATCH_SLOTS = 9;
/** slots - 1 */
export const BATCH_SLOT_MASK = 10;
/** prefixes to be withdrawn */
export const BATCH_WITHDRAWN = 11;
export const BATCH_WITHDRAWN_COUNT = 12;
/** octets left, by a careful estimate, and how many of them an NLRI takes at most */
export const BATCH_ROOM = 13;
export const BATCH_NLRI_OCTETS = 14;
/** prefixes that were put in, but that there was no room for when it was written */
export const BATCH_LEFT = 15;
export const BATCH_LEFT_COUNT = 16;
/** 1: some attributes fit into no message for this peer */
export const BATCH_HAS_UNSENDABLE = 17;
export const BATCH_FIELDS = 18;

/** What a peer has been told of a family (bgp/rib/peer-output.ts). */
export const OUTPUT_PEER = 0;
/** the blocks of its family and of its update group */
export const OUTPUT_FAMILY = 1;
export const OUTPUT_GROUP = 2;
/** position in the group's log */
export const OUTPUT_CURSOR = 3;
/** a bit for each prefix id: announced to the peer; how many words of them, how many bits are set */
export const OUTPUT_SENT = 4;
export const OUTPUT_SENT_WORDS = 5;
export const OUTPUT_SENT_COUNT = 6;
export const OUTPUT_FIELDS = 7;

/** What a member of an update group was written, for the others (bgp/rib/shared-output.ts); lists, and how many stand in each. */
/** prefixes announced, prefixes withdrawn, and those no longer exported that the writer had never been told of */
export const SHARED_ANNOUNCED = 0;
export const SHARED_ANNOUNCED_COUNT = 1;
export const SHARED_WITHDRAWN = 2;
export const SHARED_WITHDRAWN_COUNT = 3;
export const SHARED_UNTOLD = 4;
export const SHARED_UNTOLD_COUNT = 5;
/** from whom the announced paths came, and ids of the next hops where they lead; one may stand there several times */
export const SHARED_SENDERS = 6;
export const SHARED_SENDER_COUNT = 7;
export const SHARED_NEXT_HOPS = 8;
export const SHARED_NEXT_HOP_COUNT = 9;
/** 1: what is written is for that peer alone */
export const SHARED_CANCELLED = 10;
export const SHARED_FIELDS = 11;
/** what each list has room for: entries of a log that are looked at in a row, at most */
export const SHARED_ROOM = 1 << 13;

/** What came from a peer in a family (bgp/rib/peer-input.ts). */
/** paths in use */
export const INPUT_ACCEPTED = 0;
/** paths of an older generation */
export const INPUT_STALE = 1;
/** of the session, modulo 256 */
export const INPUT_GENERATION = 2;
/** no more paths than these are taken; -1: there is no limit */
export const INPUT_LIMIT = 3;
/** paths left out for it */
export const INPUT_DISCARDED = 4;
/** 1: what is stale carries LLGR_STALE */
export const INPUT_LONG_LIVED = 5;
export const INPUT_PEER = 6;
export const INPUT_FIELDS = 7;
/** in place of an effective value: it depends on the prefix */
export const TAKE_EVALUATE = 0x7fffffff;

/** Rules of import (bgp/rib/import-group.ts). */
/** IMPORT_SIMPLE and so on */
export const IMPORT_KIND = 0;
/** paths in whose AS_PATH these two stand more than IMPORT_ALLOWED_OWN times are loops; the second may be 0 */
export const IMPORT_LOCAL_AS = 1;
export const IMPORT_SPEAKER_AS = 2;
export const IMPORT_ALLOWED_OWN = 3;
/** attributes with one of these flags are asked about */
export const IMPORT_ASKS_FLAGS = 4;
/** what becomes of all others: 0 if they enter the decision as they are, else the negative code */
export const IMPORT_RESULT = 5;
export const IMPORT_FIELDS = 6;
// IMPORT_KIND
export const IMPORT_SIMPLE = 0;
/** all attributes are asked about */
export const IMPORT_ASKS_ALWAYS = 1;
/** the answer depends on the prefix */
export const IMPORT_BY_PREFIX = 2;
/** the AS_PATH holds our own AS */
export const EFFECTIVE_AS_PATH_LOOP = -1;
/** edits add less than 2 KiB */
export const REWRITE_CHANGED_MOST = REWRITE_KEY_MOST + 2048;

/** Export rules (bgp/rib/export-rules.ts). */
/** the block of the RIB's attributes, and that of its peers */
export const EXPORT_ATTRIBUTES = 0;
export const EXPORT_PEERS = 1;
/** 1: the peers that they are for are external */
export const EXPORT_IS_EXTERNAL = 2;
/** by attribute id, of paths for which it does not matter which peer sent them: 0 unknown, -1 not exported, else id of the exported form + 1 */
export const EXPORT_FORMS = 3;
export const EXPORT_FORMS_ROOM = 4;
/** flags with which attributes are not exported */
export const EXPORT_REFUSED = 5;
/** block of changes to the key, with our own next hop; 0: each form is asked for */
export const EXPORT_EDITS = 6;
/** the same where the next hop is kept */
export const EXPORT_KEPT_EDITS = 7;
/** flags of attributes whose form is asked for all the same */
export const EXPORT_ASKED = 8;
/** what becomes of next hops that came up lately, 32 entries of 32 octets; 0: it is always OWN_NEXT_HOP */
export const EXPORT_NEXT_HOPS = 9;
/** room for a changed key */
export const EXPORT_KEY_ROOM = 10;
export const EXPORT_FIELDS = 11;
export const EXPORT_NEXT_HOPS_OCTETS = 1024;

/** What becomes of a next hop: there is none to announce, ours takes its place, it is kept. */
export const NO_NEXT_HOP = 0;
export const OWN_NEXT_HOP = 1;
export const KEEPS_NEXT_HOP = 2;

/** What a peer has been sent of the paths of a family, where it takes several to a prefix (bgp/rib/sent-paths.ts). */
/** the block of the family */
export const SENT_FAMILY = 0;
/** by prefix id: first record of its chain + 1; and how many prefix ids there is room for */
export const SENT_FIRST = 1;
export const SENT_PREFIX_ROOM = 2;
/** by record: the next one of the same prefix + 1 */
export const SENT_NEXT = 3;
/** by record: prefix id + 1; negative while it is decided which paths the peer keeps */
export const SENT_PREFIX = 4;
/** by record: attributes sent, or SENT_AGAIN */
export const SENT_ATTRIBUTE = 5;
export const SENT_RECORD_ROOM = 6;
/** prefixes of which the peer has at least one path */
export const SENT_PREFIX_COUNT = 7;
export const SENT_FIELDS = 8;
/** in place of the attributes sent: the peer has the path, but is to be sent it again */
export const SENT_AGAIN = -1;
