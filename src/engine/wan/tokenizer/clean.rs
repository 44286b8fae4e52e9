//! What becomes of a prompt before it is split into words: stray typography is put straight.
//!
//! Reference: `prompt_clean` of diffusers 0.42.1, `pipelines/wan/pipeline_wan.py`, with ftfy 6.3.1 (`ftfy/__init__.py`,
//! `fixes.py`, `chardata.py`). Of ftfy's steps one is left out: it also guesses whether a text was once decoded with
//! the wrong encoding (`cafÃ©`) and then decodes it again. wanctl takes such a prompt at its word. Its steps for line
//! breaks, the ideographic space and surrogates have nothing to do here: all white space becomes one space in the end,
//! and a Rust string holds no surrogates. Unicode has grown since Python 3.11: the newest letters are composed here and
//! not there.

use std::iter::once;

use unicode_normalization::UnicodeNormalization;

use super::html;

pub(crate) fn clean(prompt: &str) -> String {
    let text = html::unescape(&html::unescape(&fix_text(prompt)));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fix_text(text: &str) -> String {
    // A "<" says that the text is HTML, in which references are meant to stay, from its line on.
    let mut is_html = false;
    let lines = text.split_inclusive('\n').map(|line| {
        is_html |= line.contains('<');
        fix_line(line, is_html)
    });
    lines.collect()
}

/// Every step, until none changes anything: what one step makes may be for an earlier one to mend.
fn fix_line(line: &str, is_html: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let read = if is_html { text.clone() } else { html::unescape_plain(&text) };
        let mut plain = String::with_capacity(read.len());
        read.chars().for_each(|c| spell_out(c, &mut plain));
        let fixed: String = without_terminal_escapes(&plain).chars().filter(|&c| !is_control(c)).nfc().collect();
        if fixed == text {
            return fixed;
        }
        text = fixed;
    }
}

/// As it is typed: no C1 controls (taken for the Windows characters), no Latin ligatures, no full-width letters or
/// half-width kana, no curly quotes.
fn spell_out(c: char, out: &mut String) {
    let c = match c {
        '\u{80}'..='\u{9f}' => html::WINDOWS_1252[c as usize - 0x80],
        c => c,
    };
    match c {
        'ﬅ' => out.push_str("ſt"),
        'Ĳ' | 'ĳ' | 'ŉ' | 'Ǆ'..='ǌ' | 'Ǳ'..='ǳ' | 'ﬀ'..='ﬆ' | '\u{ff01}'..='\u{ffef}' => {
            out.extend(once(c).nfkc());
        }
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
        '\u{201c}'..='\u{201f}' => out.push('"'),
        c => out.push(c),
    }
}

/// Colours and the like: ESC, `[`, numbers, a letter.
fn without_terminal_escapes(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match end.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(rest) => out += rest,
            None => out.extend(["\x1b[", part]),
        }
    }
    out
}

/// What shows nothing and means nothing. Joiners and marks of direction stay, as does what makes white space.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}
