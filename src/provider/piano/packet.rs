//! Piano's packets: `cipher~~~mac`, both in base64url. The cipher is AES-256-ECB, the mac HMAC-SHA256 over the cipher's
//! text.

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use super::super::signature::{mac, mac_is};
use super::super::{Request, Secret};
use crate::domain::delivery::{Reason, Refusal};

const SEPARATOR: &str = "~~~";
/// The one parameter of a query or form that holds the packet.
const PARAMETER: &str = "data=";
const BLOCK: u8 = 16;

/// A packet as it came, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    text: String,
    field: &'static str,
}

impl Packet {
    /// The packet of a request: in its query, in a form, or bare in its body. `None` if the body is something else.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if let Some(value) = request.query.as_deref().and_then(parameter) {
            return Some(Self::decoded(value, "data"));
        }
        let body = std::str::from_utf8(&request.body).ok()?.trim_ascii();
        if body.starts_with('{') {
            return None;
        }
        if let Some(value) = parameter(body) {
            return Some(Self::decoded(value, "data"));
        }
        let of_its_letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_~%=+/-".contains(&byte);
        let is_packet =
            body.contains(SEPARATOR) || (!body.is_empty() && body.bytes().all(of_its_letters));
        is_packet.then(|| Self::decoded(body, "body"))
    }

    /// Some senders escape the tildes, so the escapes go before anything is looked for.
    fn decoded(text: &str, field: &'static str) -> Self {
        let text = percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self { text, field }
    }

    fn refuse(&self, reason: Reason, detail: &str) -> Refusal {
        Refusal::new(reason, self.field, detail)
    }

    /// Shows that the packet was made with the secret, and then, not before, decrypts it.
    pub(super) fn open(&self, secret: Option<&Secret>) -> Result<Vec<u8>, Refusal> {
        let bad = |detail| self.refuse(Reason::BadPacket, detail);
        let (cipher_text, mac_text) = self
            .text
            .split_once(SEPARATOR)
            .ok_or_else(|| bad("no `~~~`, and so no mac"))?;
        if mac_text.contains(SEPARATOR) {
            return Err(bad("more than one `~~~`"));
        }
        let cipher = unpadded(cipher_text).ok_or_else(|| bad("the cipher is not base64url"))?;
        let given = unpadded(mac_text).ok_or_else(|| bad("the mac is not base64url"))?;
        if cipher.is_empty() {
            return Err(bad("no cipher"));
        }
        if given.is_empty() {
            return Err(bad("no mac"));
        }
        if cipher.len() % usize::from(BLOCK) != 0 {
            return Err(bad(
                "the cipher does not end with a whole block of 16 bytes",
            ));
        }
        if given.len() != 32 {
            return Err(bad("the mac is not 32 bytes long"));
        }
        let Some(secret) = secret else {
            let detail = "the source has no secret to check it with";
            return Err(self.refuse(Reason::BadSignature, detail));
        };
        // A sender that pads its base64 may sign the text with the padding or without.
        let signed = |text: &str| mac_is(&given, secret.bytes(), &[text.as_bytes()]);
        if !(signed(cipher_text) | signed(cipher_text.trim_end_matches('='))) {
            return Err(self.refuse(Reason::BadSignature, "not made with the source's secret"));
        }
        Ok(decrypted(cipher, secret))
    }
}

/// The value of the first `data` of a query or form.
fn parameter(text: &str) -> Option<&str> {
    text.split('&')
        .find_map(|pair| pair.strip_prefix(PARAMETER))
}

fn unpadded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// The first 32 bytes of the secret; a shorter one is filled up.
fn cipher_key(secret: &Secret) -> [u8; 32] {
    let mut key = [b'X'; 32];
    for (to, from) in key.iter_mut().zip(secret.bytes()) {
        *to = *from;
    }
    key
}

fn decrypted(mut cipher: Vec<u8>, secret: &Secret) -> Vec<u8> {
    let mut cipher_mode = ecb::Decryptor::<Aes256>::new(&cipher_key(secret).into());
    for block in cipher.chunks_exact_mut(BLOCK.into()) {
        if let Ok(block) = block.try_into() {
            cipher_mode.decrypt_block(block);
        }
    }
    cipher.truncate(cipher.len() - padding(&cipher));
    cipher
}

/// How many bytes at the end are padding: n bytes of value n. None, if it is not so: one of the vendor's libraries adds
/// none to a text that fills its blocks.
fn padding(text: &[u8]) -> usize {
    let Some(last) = text.last().filter(|last| (1..=BLOCK).contains(*last)) else {
        return 0;
    };
    let length = usize::from(*last);
    let tail = text.len().checked_sub(length).and_then(|at| text.get(at..));
    match tail {
        Some(tail) if tail.iter().all(|byte| byte == last) => length,
        Some(_) | None => 0,
    }
}

/// Makes the packet of a text, as the vendor's libraries do.
pub(super) fn seal(text: &[u8], secret: &Secret) -> Option<String> {
    let mut cipher = text.to_vec();
    let missing = text.len().next_multiple_of(BLOCK.into()) - text.len();
    let length = if missing == 0 {
        usize::from(BLOCK)
    } else {
        missing
    };
    cipher.extend(std::iter::repeat_n(u8::try_from(length).ok()?, length));
    let mut cipher_mode = ecb::Encryptor::<Aes256>::new(&cipher_key(secret).into());
    for block in cipher.chunks_exact_mut(BLOCK.into()) {
        cipher_mode.encrypt_block(block.try_into().ok()?);
    }
    let cipher_text = URL_SAFE_NO_PAD.encode(&cipher);
    let mac = mac(secret.bytes(), &[cipher_text.as_bytes()])?;
    Some(format!(
        "{cipher_text}{SEPARATOR}{}",
        URL_SAFE_NO_PAD.encode(mac)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    const KEY: &str = "thestringliteralisexactlyfortych";
    const PACKET: &str = "V3IqZVBH2dQh4uxOMy9BAg~~~mB3lhC3FscKs7p18-N2vtvy6pSDsIyicy77lydm-UGk";

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn opened(body: &str, key: &str) -> Result<Vec<u8>, Refusal> {
        let request = Request {
            body: body.into(),
            ..Request::default()
        };
        Packet::of(&request).unwrap().open(Some(&secret(key)))
    }

    fn refused(body: &str) -> (Reason, String) {
        let refusal = opened(body, KEY).unwrap_err();
        (refusal.reason, refusal.detail)
    }

    #[test]
    fn the_vendor_and_this_code_make_the_same_packets() {
        let short = "xrgPSPhFkqo2Xwla8-5jLw~~~47Icp363tHXWtnj7psqKqhwDkZjXNdZNkJyWm1HdNUk";
        let cases = [
            (KEY, "JavaIsSoFun", PACKET),
            ("short-key-0123456789", "{\"a\":1}", short),
        ];
        for (key, text, packet) in cases {
            assert_eq!(seal(text.as_bytes(), &secret(key)).unwrap(), packet);
            assert_eq!(opened(packet, key).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn the_whole_key_signs() {
        for (text, expected) in [
            ("", "Y8MfdiTQSuLQGAW2aCXvAucxnYCmQGQSr780zffAka0"),
            ("кирилл", "iPBDZnvNX0YSy10m6JUoItYZ83nXfPgCQXS76yS7Xo4"),
        ] {
            let mac = mac(KEY.as_bytes(), &[text.as_bytes()]).unwrap();
            assert_eq!(URL_SAFE_NO_PAD.encode(mac), expected);
        }
        // Two keys that encrypt alike, of which only one signs like the sender's.
        let long = format!("{KEY}-and-more");
        let packet = seal(b"{}", &secret(&long)).unwrap();
        assert_eq!(opened(&packet, &long).unwrap(), b"{}");
        assert_eq!(
            opened(&packet, KEY).unwrap_err().reason,
            Reason::BadSignature
        );
    }

    #[test]
    fn a_text_that_fills_its_blocks_comes_with_and_without_padding() {
        let text = b"0123456789abcdef";
        let padded = seal(text, &secret(KEY)).unwrap();
        assert_eq!(opened(&padded, KEY).unwrap(), text);
        // What the vendor's Python library makes of the same text.
        let bare = "Xd-HMzK0vxAFnVBSu1-Pjw~~~1BZCPYFFmTxuO18NevFampoxj99BUpOhXgCgQKLGTto";
        assert_eq!(opened(bare, KEY).unwrap(), text);
    }

    #[test]
    fn only_a_valid_padding_is_taken_off() {
        assert_eq!(padding(b"ab\x02\x02"), 2);
        assert_eq!(padding(b"ab\x01\x02"), 0);
        assert_eq!(padding(b"a\x11"), 0);
        assert_eq!(padding(b"a\x00"), 0);
        assert_eq!(padding(&[16; 16]), 16);
        assert_eq!(padding(&[16; 15]), 0);
        assert_eq!(padding(b""), 0);
    }

    #[test]
    fn the_packet_is_found_wherever_it_is_put() {
        let escaped = PACKET.replace('~', "%7E");
        let request = |query: Option<String>, body: &str| Request {
            body: body.into(),
            query,
            ..Request::default()
        };
        for request in [
            request(Some(format!("data={PACKET}")), ""),
            request(Some(format!("x=1&data={escaped}")), "{}"),
            request(None, PACKET),
            request(Some("x=1".to_owned()), &format!("\n{escaped}\r\n")),
            request(None, &format!("data={PACKET}")),
            request(None, &format!("data={escaped}&x=1")),
        ] {
            let packet = Packet::of(&request).unwrap();
            assert_eq!(packet.open(Some(&secret(KEY))).unwrap(), b"JavaIsSoFun");
        }
        for body in ["", "  ", "{\"event\":\"~~~\"}", "[1]", "\"x\""] {
            assert_eq!(Packet::of(&request(None, body)), None, "{body}");
        }
    }

    #[test]
    fn padded_base64_is_read_whether_or_not_the_padding_is_signed() {
        let padded = PACKET.replace("~~~", "==~~~") + "=";
        assert_eq!(opened(&padded, KEY).unwrap(), b"JavaIsSoFun");
        let cipher = "V3IqZVBH2dQh4uxOMy9BAg==";
        let signature = mac(KEY.as_bytes(), &[cipher.as_bytes()]).unwrap();
        let packet = format!("{cipher}~~~{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(opened(&packet, KEY).unwrap(), b"JavaIsSoFun");
    }

    #[test]
    fn each_damage_has_its_own_words() {
        let (cipher, mac) = PACKET.split_once(SEPARATOR).unwrap();
        let cases = [
            (cipher.to_owned(), "no `~~~`, and so no mac"),
            (format!("{PACKET}~~~x"), "more than one `~~~`"),
            (format!("{cipher}~~~~~~{mac}"), "more than one `~~~`"),
            (format!("{cipher}~~~"), "no mac"),
            (format!("~~~{mac}"), "no cipher"),
            (
                format!("V3Iq+VBH2dQh4uxOMy9BAg~~~{mac}"),
                "the cipher is not base64url",
            ),
            (format!("{cipher}~~~{mac}!"), "the mac is not base64url"),
            (
                format!("V3IqZVBH~~~{mac}"),
                "the cipher does not end with a whole block of 16 bytes",
            ),
            (
                format!("{cipher}~~~V3IqZVBH"),
                "the mac is not 32 bytes long",
            ),
        ];
        for (packet, detail) in cases {
            assert_eq!(refused(&packet), (Reason::BadPacket, detail.to_owned()));
        }
    }

    #[test]
    fn a_mac_with_stray_bits_at_its_end_is_refused() {
        // `k` and `l` differ only in bits that 32 bytes do not use.
        let stray = PACKET.strip_suffix('k').unwrap().to_owned() + "l";
        assert_eq!(refused(&stray).0, Reason::BadPacket);
    }

    #[test]
    fn without_a_secret_nothing_is_opened() {
        let request = Request {
            body: PACKET.into(),
            ..Request::default()
        };
        let refusal = Packet::of(&request).unwrap().open(None).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadSignature);
        assert_eq!(refusal.field, "body");
    }
}
