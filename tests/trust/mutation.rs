//! Cases made from kept ones: damaged, cut, joined, with values at the limits. The same seed makes the same cases.

/// Values at the limits of what a field may hold, and signs that mean something to some reader.
const LIMITS: &[&str] = &[
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-62135596800",
    "-62135596801",
    "253402300799",
    "253402300800",
    "1293858000000",
    "1293858000001",
    "1e999",
    "0001-01-01T00:00:00Z",
    "0000-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.9999999-00:01",
    "2024-02-29T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2399-12-31T23:59:59.999999Z",
    "2400-01-01T00:00:00Z",
    "P1M",
    "P1200M",
    "P1201M",
    "P100Y",
    "PT0S",
    "P36525D",
    "P1M1D",
    "null",
    "true",
    "[]",
    "{}",
    "\"",
    "\\",
    "\\ud800",
    "\\u0000",
    "\u{0}",
    "\u{feff}",
    "\n",
    "\r\n",
    "~~~",
    "%7E",
    "%",
    "=",
    "&",
    "*",
    "staff",
    "tenure",
    "any",
    "@secret@",
];

/// Makes cases, one after the other.
pub(crate) struct Mutation {
    state: u64,
}

impl Mutation {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let fold = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let state = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, fold);
        Self { state }
    }

    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many places, 0 if there is none.
    fn below(&mut self, many: usize) -> usize {
        let many = u64::try_from(many.max(1)).unwrap();
        usize::try_from(self.number() % many).unwrap()
    }

    /// A case made from one of the corpus, by one to four changes.
    pub(crate) fn of(&mut self, corpus: &[&[u8]]) -> Vec<u8> {
        let mut case = corpus[self.below(corpus.len())].to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut case, corpus);
        }
        case.truncate(16 * 1024);
        case
    }

    fn change(&mut self, case: &mut Vec<u8>, corpus: &[&[u8]]) {
        let at = self.below(case.len());
        let upto = (at + self.below(24)).min(case.len());
        match self.below(9) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = case.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let by = self.number().to_le_bytes()[0];
                if let Some(byte) = case.get_mut(at) {
                    *byte = by;
                }
            }
            2 => drop(case.drain(at..upto)),
            3 => {
                let part = case[at..upto].to_vec();
                case.splice(at..at, part);
            }
            4 => {
                let limit = LIMITS[self.below(LIMITS.len())];
                case.splice(at..at, limit.bytes());
            }
            5 => case.truncate(at),
            6 => {
                let other = corpus[self.below(corpus.len())];
                let from = self.below(other.len());
                case.truncate(at);
                case.extend_from_slice(&other[from..]);
            }
            _ => {
                let limit = LIMITS[self.below(LIMITS.len())];
                let word = word(case, at);
                case.splice(word, limit.bytes());
            }
        }
    }
}

/// The word around a place, as a number, a time or what stands between two quotation marks.
fn word(case: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_sign = |byte: &u8| b"\"{}[], \n=&".contains(byte);
    let before = case[..at].iter().rposition(is_sign);
    let behind = case[at..].iter().position(is_sign);
    let start = before.map_or(0, |it| it + 1);
    start..behind.map_or(case.len(), |it| at + it)
}
