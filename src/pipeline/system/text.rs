//! Text files that people write, in the encodings that editors and shells save: UTF-8 with or without a byte order mark,
//! and UTF-16 with one (Notepad's "Unicode", `>` of Windows PowerShell 5).

use std::{borrow::Cow, fs, io, path::Path};

use serde::de::{DeserializeOwned, Error};

/// Why bytes cannot be read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("is not UTF-8 text: byte {at} is 0x{byte:02x}; save it as UTF-8")]
    NotUtf8 { at: usize, byte: u8 },
    #[error("is UTF-16 text that is damaged or breaks off; save it as UTF-8")]
    DamagedUtf16,
    #[error("looks like {encoding} text, which is read with a byte order mark only; save it as UTF-8")]
    NoMark { encoding: &'static str },
    #[error("is UTF-32 text; save it as UTF-8")]
    Utf32,
}

/// The text without its byte order mark. Lines may end with CRLF, as in the file.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, TextError> {
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => utf8(text, 3),
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err(TextError::Utf32),
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        // Text that people write for wanctl begins with an ASCII character (RFC 4627, section 3, tells JSON so).
        [1..=0x7f, 0, ..] | [0, 1..=0x7f, ..] => Err(TextError::NoMark { encoding: "UTF-16" }),
        text => utf8(text, 0),
    }
}

/// How a text begins, of its first bytes: what is no text, or is cut off, stands as U+FFFD.
pub(crate) fn begin(head: &[u8]) -> String {
    match head {
        [0xff, 0xfe, rest @ ..] => lossy_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => lossy_utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head)).into_owned(),
    }
}

fn lossy_utf16(text: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    String::from_utf16_lossy(&text.as_chunks().0.iter().map(|pair| unit(*pair)).collect::<Vec<u16>>())
}

fn utf8(text: &[u8], before: usize) -> Result<Cow<'_, str>, TextError> {
    str::from_utf8(text).map(Cow::Borrowed).map_err(|error| {
        let at = error.valid_up_to();
        TextError::NotUtf8 { at: before + at, byte: text[at] }
    })
}

fn utf16(text: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, TextError> {
    let (pairs, rest) = text.as_chunks();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(Cow::Owned(text)),
        _ => Err(TextError::DamagedUtf16),
    }
}

/// Reads a text file; bytes that are no text are an error of kind `InvalidData`.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    into_text(fs::read(path)?)
}

pub(crate) fn into_text(bytes: Vec<u8>) -> io::Result<String> {
    Ok(decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?.into_owned())
}

/// JSON in any of these encodings.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_str(&decode(bytes).map_err(serde_json::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "prompt: café 🎞\r\n";

    fn utf16(mark: bool, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = if mark { &[0xfeff][..] } else { &[] };
        mark.iter().copied().chain(TEXT.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn text_is_the_same_in_every_encoding_that_is_read() {
        let marked = [b"\xef\xbb\xbf", TEXT.as_bytes()].concat();
        for bytes in [TEXT.as_bytes().to_vec(), marked, utf16(true, u16::to_le_bytes), utf16(true, u16::to_be_bytes)] {
            assert_eq!(decode(&bytes).unwrap(), TEXT);
            assert_eq!(begin(&bytes), TEXT);
            assert!(TEXT.starts_with(begin(&bytes[..14]).trim_end_matches('\u{fffd}')));
        }
        assert_eq!(decode(b"").unwrap(), "");
        assert_eq!(decode(b"\xef\xbb\xbf").unwrap(), "");
        let json = [b"\xef\xbb\xbf".as_slice(), br#"{"a": "b"}"#].concat();
        assert_eq!(from_json::<serde_json::Value>(&json).unwrap()["a"], "b");
    }

    #[test]
    fn other_bytes_are_refused_with_what_they_are() {
        let mut broken = utf16(true, u16::to_le_bytes);
        broken.pop();
        let latin = TextError::NotUtf8 { at: 3, byte: 0xe9 };
        for (bytes, wanted) in [
            (b"caf\xe9".to_vec(), latin),
            (b"\xef\xbb\xbfcaf\xe9".to_vec(), TextError::NotUtf8 { at: 6, byte: 0xe9 }),
            (broken, TextError::DamagedUtf16),
            (b"\xff\xfe\x00\xd8".to_vec(), TextError::DamagedUtf16),
            (utf16(false, u16::to_le_bytes), TextError::NoMark { encoding: "UTF-16" }),
            (utf16(false, u16::to_be_bytes), TextError::NoMark { encoding: "UTF-16" }),
            (b"\xff\xfe\0\0a\0\0\0".to_vec(), TextError::Utf32),
            (b"\0\0\xfe\xff\0\0\0a".to_vec(), TextError::Utf32),
        ] {
            assert_eq!(decode(&bytes).unwrap_err(), wanted);
            assert!(from_json::<serde_json::Value>(&bytes).unwrap_err().to_string().contains("UTF-8"));
        }
        assert_eq!(into_text(b"caf\xe9".to_vec()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
