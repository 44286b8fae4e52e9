//! HTML's character references, read as Python 3.11 reads them (`html.unescape`) and as ftfy 6.3.1 does
//! (`ftfy/fixes.py`, `unescape_html`).

use entities::ENTITIES;

/// What a browser of the nineties took the bytes 0x80 to 0x9f for; five of them stand for nothing.
pub(super) const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Letters of a name that Python looks at.
const LONGEST: usize = 32;

/// Every reference, also `&lt` and `&notit;`, of which HTML reads the beginning.
pub(super) fn unescape(text: &str) -> String {
    replace_references(text, |text| number(text).or_else(|| name_or_its_beginning(text)))
}

/// Only what ends in a semicolon and can hardly mean itself; and `&EACUTE;`, which HTML does not know.
pub(super) fn unescape_plain(text: &str) -> String {
    replace_references(text, |text| {
        let end = text.find(';')?;
        let inside = text[1..end].strip_prefix('#').unwrap_or(&text[1..end]);
        if !(1..=24).contains(&inside.len()) || !inside.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let reference = &text[..=end];
        match number(reference) {
            // Half a reference is none, and what makes a semicolon could complete the text before it.
            Some((meant, used)) => (used == reference.len() && meant != ";").then_some((meant, used)),
            None => known(reference).map(str::to_owned).or_else(|| shouted(reference)).map(|meant| (meant, end + 1)),
        }
    })
}

/// `reference` is given the text from an `&` on; it answers what stands there, and how many bytes say so.
fn replace_references(text: &str, reference: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let (meant, used) = reference(rest).unwrap_or_else(|| ("&".into(), 1));
        out += &meant;
        rest = &rest[used..];
    }
    out + rest
}

/// `&#65;` or `&#x41;`, the semicolon optional.
fn number(text: &str) -> Option<(String, usize)> {
    let digits = text.strip_prefix("&#")?;
    let (radix, digits) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    let count = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if count == 0 {
        return None;
    }
    let used = text.len() - digits.len() + count + usize::from(digits[count..].starts_with(';'));
    // Too many digits for a number are too large for a character.
    let code = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
    let meant = match code {
        0x80..=0x9f => WINDOWS_1252[code as usize - 0x80].into(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => String::new(),
        _ if code <= 0x10_ffff && code & 0xfffe == 0xfffe => String::new(),
        0 => char::REPLACEMENT_CHARACTER.into(),
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).into(),
    };
    Some((meant, used))
}

fn name_or_its_beginning(text: &str) -> Option<(String, usize)> {
    let letters = text.bytes().skip(1).take(LONGEST).take_while(u8::is_ascii_alphanumeric).count();
    let whole = 1 + letters + usize::from(text[1 + letters..].starts_with(';'));
    // "&" and two letters: no name is shorter.
    (3..=whole).rev().find_map(|end| Some((known(&text[..end])?.to_owned(), end)))
}

/// A known name written in capitals, where HTML has none of that spelling: `&NTILDE;` is Ñ.
fn shouted(reference: &str) -> Option<String> {
    let small = reference.to_ascii_lowercase();
    let meant = known(&small)?;
    (reference == small.to_ascii_uppercase() && unescape(reference) == reference).then(|| meant.to_uppercase())
}

fn known(reference: &str) -> Option<&'static str> {
    ENTITIES.iter().find(|entity| entity.entity == reference).map(|entity| entity.characters)
}
