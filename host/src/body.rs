//! Stored bodies: what a request or reply looked like, packed small.
//!
//! A body is masked before it comes here. It is cut in the middle when it is longer than the cap, and compressed with a
//! dictionary that is shipped with the program. The dictionary's number is stored with each body, so that a later one can
//! live beside it; a shipped dictionary is never changed.

#[cfg(test)]
pub(crate) mod samples;

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::{CParameter, Strategy};

/// The bytes as they are: short bodies that compression would only lengthen.
pub const CODEC_PLAIN: u8 = 0;
/// zstd with dictionary 1.
pub const CODEC_ZSTD_1: u8 = 1;

/// The longest text that is ever stored, and so the longest that is unpacked: what claims to be longer is damaged or a bomb.
pub const MAX_STORED_BYTES: usize = 16 * 1024 * 1024;

/// zstd's level, of which [`PARAMETERS`] say the rest. Above 3 a body of this kind gets hardly smaller and several times slower.
const LEVEL: i32 = 3;

/// Tables of 80 KB. Those of the level are made for long texts, and take five times as much: a hook packs two short ones, and finds
/// nothing of its tables in the processor's caches. Short bodies get a little smaller with these as well, long ones no larger.
const PARAMETERS: [CParameter; 5] = [
    CParameter::Strategy(Strategy::ZSTD_dfast),
    CParameter::WindowLog(18),
    CParameter::HashLog(14),
    CParameter::ChainLog(12),
    CParameter::MinMatch(5),
];

/// Trained from invented bodies, see the tests. Bodies in databases depend on these bytes.
static DICTIONARY_1: &[u8] = include_bytes!("body/dictionary-1.zdict");

static DECODER_1: LazyLock<Option<DecoderDictionary<'static>>> =
    LazyLock::new(|| DecoderDictionary::try_copy(DICTIONARY_1).ok());

// A context takes longer to set up than a body takes to pack, so each thread keeps one.
thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A body as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// How `bytes` are packed: [`CODEC_PLAIN`] or [`CODEC_ZSTD_1`].
    pub codec: u8,
    /// The packed text.
    pub bytes: Vec<u8>,
    /// What the whole text was, where its middle was left out.
    pub cut: Option<Whole>,
}

/// What is known of a text that is not kept whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Length of the masked text in bytes.
    pub length: u64,
    /// SHA-256 of the masked text.
    pub sha256: [u8; 32],
}

/// Packs a masked text.
///
/// A text longer than `cap_bytes` (or than [`MAX_STORED_BYTES`]) keeps its head and its tail, with a marker between that
/// notes how much is missing; head, marker and tail together fit the cap, unless the cap is shorter than the marker.
pub fn pack(text: &[u8], cap_bytes: usize) -> Packed {
    let cap = cap_bytes.min(MAX_STORED_BYTES);
    let cut = (text.len() > cap).then(|| cut_middle(text, cap));
    let kept = cut.as_deref().unwrap_or(text);
    let (codec, bytes) = match compress(kept) {
        Ok(smaller) if smaller.len() < kept.len() => (CODEC_ZSTD_1, smaller),
        // Not being able to compress is no reason to lose a body.
        _ => (CODEC_PLAIN, kept.to_vec()),
    };
    let cut = cut.as_ref().map(|_| Whole { length: text.len() as u64, sha256: Sha256::digest(text).into() });
    Packed { codec, bytes, cut }
}

/// The stored text: what was given to [`pack`], or its head and tail.
///
/// # Errors
///
/// [`BodyError`]; no more than [`MAX_STORED_BYTES`] are ever allocated, whatever the bytes claim.
pub fn unpack(codec: u8, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
    match codec {
        CODEC_PLAIN => Ok(bytes.to_vec()),
        CODEC_ZSTD_1 => decompress(bytes),
        codec => Err(BodyError::UnknownCodec { codec }),
    }
}

/// Why a stored body cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A newer program stored it.
    #[error("the body is packed with codec {codec}, which this version does not know")]
    UnknownCodec {
        /// The stored number.
        codec: u8,
    },
    /// It says that it is longer than any body is stored.
    #[error("the body claims to hold {claimed} bytes, more than is ever stored")]
    TooLong {
        /// The length in its head.
        claimed: u64,
    },
    /// Changed, cut, or packed with another dictionary.
    #[error("the packed body is damaged")]
    Damaged {
        /// What the decompressor found.
        #[source]
        source: io::Error,
    },
}

/// The most that a marker takes: the words and a twenty-digit number.
const MARKER_ROOM: usize = 48;

fn cut_middle(text: &[u8], cap: usize) -> Vec<u8> {
    let room = cap.saturating_sub(MARKER_ROOM);
    // The head says what it is and mostly what went wrong; the tail shows how it ended.
    let head_end = char_start_at_or_before(text, room / 3 * 2);
    let tail_start = char_start_at_or_after(text, text.len() - room / 3);
    let (head, tail) = (&text[..head_end], &text[tail_start..]);
    let marker = format!("\n‹cut: {} bytes›\n", tail_start - head_end);
    [head, marker.as_bytes(), tail].concat()
}

fn char_start_at_or_before(text: &[u8], at: usize) -> usize {
    (at.saturating_sub(3)..=at).rev().find(|&i| is_char_start(text, i)).unwrap_or(at)
}

fn char_start_at_or_after(text: &[u8], at: usize) -> usize {
    (at..=(at + 3).min(text.len())).find(|&i| is_char_start(text, i)).unwrap_or(at)
}

fn is_char_start(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000)
}

fn compress(text: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(new_compressor(DICTIONARY_1)?),
        };
        compressor.compress(text)
    })
}

fn new_compressor(dictionary: &[u8]) -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_dictionary(LEVEL, dictionary)?;
    for parameter in PARAMETERS {
        compressor.set_parameter(parameter)?;
    }
    // Four bytes, for which a damaged body is told from one that the panel sent.
    compressor.include_checksum(true)?;
    Ok(compressor)
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
    let damaged = |source| BodyError::Damaged { source };
    if bytes.is_empty() {
        // Nothing unpacks to nothing without a word, and nothing is ever packed to nothing.
        return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
    }
    if let Some(claimed) = zstd::decompressed_size(bytes)
        && claimed > MAX_STORED_BYTES as u64
    {
        return Err(BodyError::TooLong { claimed });
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(new_decompressor().map_err(damaged)?),
        };
        decompressor.decompress(bytes, MAX_STORED_BYTES).map_err(damaged)
    })
}

fn new_decompressor() -> io::Result<Decompressor<'static>> {
    let dictionary = DECODER_1.as_ref().ok_or_else(|| io::Error::other("the shipped dictionary cannot be loaded"))?;
    Decompressor::with_prepared_dictionary(dictionary)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_CAP: usize = usize::MAX;

    /// How a dictionary is trained: 4 000 invented bodies of all shapes, at most 32 KiB.
    ///
    /// To train dictionary 2, change the samples, run this test with `BILLHOOK_TRAIN_DICTIONARY=/path/dictionary-2.zdict`,
    /// and give it a codec of its own. Dictionary 1 stays as it is.
    fn train() -> Vec<u8> {
        zstd::dict::from_samples(&samples::bodies(20_240_229, 4_000), 32 * 1024).expect("trained")
    }

    fn packed_len_with(dictionary: &[u8], bodies: &[Vec<u8>]) -> usize {
        let mut compressor = new_compressor(dictionary).expect("a dictionary");
        bodies.iter().map(|body| compressor.compress(body).expect("packed").len()).sum()
    }

    #[test]
    fn the_samples_have_not_outgrown_the_shipped_dictionary() {
        let fresh = train();
        if let Some(path) = std::env::var_os("BILLHOOK_TRAIN_DICTIONARY") {
            std::fs::write(path, &fresh).expect("written");
        }
        let unseen = samples::bodies(99, 400);
        let plain: usize = unseen.iter().map(Vec::len).sum();
        let (shipped, fresh) = (packed_len_with(DICTIONARY_1, &unseen), packed_len_with(&fresh, &unseen));
        assert!(
            shipped * 100 <= fresh * 110,
            "shipped {shipped}, freshly trained {fresh}, plain {plain}: train a new one"
        );
    }

    #[test]
    fn the_shipped_dictionary_never_changes() {
        let hex: String = Sha256::digest(DICTIONARY_1).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "9ab41868a52bac2f6f44a1bce3782e2adc7cb2d03eb7b351e81ee38cb6b3a6ce");
        assert!(DICTIONARY_1.len() <= 32 * 1024);
    }

    #[test]
    fn the_two_bodies_of_a_log_row_fit_two_kilobytes() {
        for seed in 1_000..1_020 {
            let (hook, server) = (samples::hook_body(seed), samples::server_body(seed));
            let packed = pack(&hook, NO_CAP).bytes.len() + pack(&server, NO_CAP).bytes.len();
            assert!(packed <= 2_000, "{} + {} bytes became {packed}", hook.len(), server.len());
        }
    }

    #[test]
    fn what_was_packed_comes_back() {
        for text in samples::bodies(3, 200) {
            let packed = pack(&text, NO_CAP);
            assert_eq!(packed.cut, None);
            assert_eq!(unpack(packed.codec, &packed.bytes).expect("unpacked"), text);
        }
    }

    #[test]
    fn a_short_body_is_kept_as_it_is() {
        for text in [&b""[..], b"[]", b"ok"] {
            let packed = pack(text, NO_CAP);
            assert_eq!((packed.codec, packed.bytes.as_slice()), (CODEC_PLAIN, text));
        }
    }

    #[test]
    fn a_long_body_keeps_head_and_tail_and_says_what_is_missing() {
        let text = [b"HEAD".as_slice(), &b"x".repeat(10_000), b"TAIL"].concat();

        let packed = pack(&text, 1_000);
        let kept = String::from_utf8(unpack(packed.codec, &packed.bytes).expect("unpacked")).expect("text");

        assert!(packed.cut.is_some() && kept.len() <= 1_000, "{}", kept.len());
        assert!(kept.starts_with("HEADxxx") && kept.ends_with("xxxTAIL"));
        let missing: usize =
            kept.split("‹cut: ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number");
        let marker = format!("\n‹cut: {missing} bytes›\n");
        assert_eq!(missing + kept.len() - marker.len(), text.len());
        assert_eq!(packed.cut, Some(Whole { length: 10_008, sha256: Sha256::digest(&text).into() }));
    }

    #[test]
    fn a_body_of_exactly_the_cap_is_whole() {
        let text = b"x".repeat(1_000);
        assert!(pack(&text, 1_000).cut.is_none());
        assert!(pack(&text, 999).cut.is_some());
    }

    #[test]
    fn damage_is_an_error_and_never_another_text() {
        let text = samples::server_body(5);
        let packed = pack(&text, NO_CAP);
        for at in 0..packed.bytes.len() {
            let mut changed = packed.bytes.clone();
            changed[at] ^= 0x10;
            if let Ok(found) = unpack(packed.codec, &changed) {
                assert_eq!(found, text, "byte {at}");
            }
            assert!(unpack(packed.codec, &packed.bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(matches!(unpack(9, &packed.bytes), Err(BodyError::UnknownCodec { codec: 9 })));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let honest = zstd::bulk::compress(&vec![0; MAX_STORED_BYTES + 1], 3).expect("packed");
        assert!(honest.len() < 2_000);
        assert!(matches!(unpack(CODEC_ZSTD_1, &honest), Err(BodyError::TooLong { .. })));
        // Without a length in its head.
        let streamed = zstd::stream::encode_all(io::repeat(0).take_bytes(MAX_STORED_BYTES + 1), 3).expect("packed");
        assert!(matches!(unpack(CODEC_ZSTD_1, &streamed), Err(BodyError::Damaged { .. })));
    }

    trait TakeBytes: io::Read + Sized {
        fn take_bytes(self, len: usize) -> io::Take<Self> {
            self.take(len as u64)
        }
    }
    impl<R: io::Read> TakeBytes for R {}

    proptest! {
        #[test]
        fn any_text_under_any_cap_stays_text_within_the_cap(text in ".{0,400}", cap in 0usize..500) {
            let packed = pack(text.as_bytes(), cap);
            let kept = unpack(packed.codec, &packed.bytes).expect("unpacked");
            prop_assert!(std::str::from_utf8(&kept).is_ok());
            prop_assert!(kept.len() <= cap.max(MARKER_ROOM));
            prop_assert_eq!(packed.cut.is_some(), text.len() > cap);
        }

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2_000), cap in 0usize..2_500) {
            let packed = pack(&bytes, cap);
            let kept = unpack(packed.codec, &packed.bytes).expect("unpacked");
            prop_assert!(packed.cut.is_some() || kept == bytes);
        }

        #[test]
        fn unpacking_any_bytes_never_panics(codec in 0u8..3, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(codec, &bytes);
        }
    }
}
