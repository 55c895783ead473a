//! A text as a person sees it.

/// Whether a character shows nothing. Such a one in an answer or beside it makes a reader see
/// another answer than a program reads.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e007f}')
}

/// What a text looks like: characters that show nothing are gone, letters and digits that look
/// like those of ASCII are those, and blanks of every kind are blanks. Line ends stay.
///
/// It is for finding out what a text pretends to say; answers and verdicts are read from the text
/// itself.
///
/// ```
/// // A Cyrillic С, a zero-width space, full-width letters and a no-break space.
/// let tricks = "\u{421}or\u{200b}rect \u{ff2f}\u{ff2b}\u{a0}!";
/// assert_eq!(critique_verify::as_seen(tricks), "Correct OK !");
/// ```
#[must_use]
pub fn as_seen(text: &str) -> String {
    text.chars()
        .filter(|c| !is_hidden(*c) && !is_mark(*c))
        .map(likeness)
        .collect()
}

/// Marks that sit on the letter before them, and variation selectors.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}')
}

/// The ASCII character that one looks like, or itself.
fn likeness(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    if let Some(at) = LOOK_ALIKES.chars().position(|other| other == c) {
        return LATIN.as_bytes()[at] as char;
    }
    let letter = |from: u32| {
        let at = c as u32 - from;
        let (base, at) = if at < 26 { (b'A', at) } else { (b'a', at - 26) };
        (base + at as u8) as char
    };
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        // Bold, italic, script and other letters of mathematics, 52 of each sort.
        '\u{1d400}'..='\u{1d6a3}' => letter(0x1d400 + (c as u32 - 0x1d400) / 52 * 52),
        '\u{1d7ce}'..='\u{1d7ff}' => (b'0' + ((c as u32 - 0x1d7ce) % 10) as u8) as char,
        '\u{24b6}'..='\u{24e9}' => letter(0x24b6),
        '\u{1f110}'..='\u{1f129}' => letter(0x1f110),
        '\u{1f130}'..='\u{1f149}' => letter(0x1f130),
        '\u{249c}'..='\u{24b5}' => (b'a' + (c as u32 - 0x249c) as u8) as char,
        _ if c.is_whitespace() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') => ' ',
        _ => c,
    }
}

/// Letters of the Cyrillic and Greek alphabets, letters with marks and a few signs, in the order
/// of [`LATIN`].
const LOOK_ALIKES: &str = "\
АВСЕНІЈКМОРЅТХУаеіјорсухѕԁһӏԛԝ\
ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαντρ\
ÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝàáâãäåçèéêëìíîïñòóôõöùúûüýı\
∶꞉ː։᠃٫⁄∕−‐‑–—";

/// What each of [`LOOK_ALIKES`] looks like.
const LATIN: &str = "\
ABCEHIJKMOPSTXYaeijopcyxsdhlqw\
ABEZHIKMNOPTYXoavtp\
AAAAAACEEEEIIIINOOOOOUUUUYaaaaaaceeeeiiiinooooouuuuyi\
:::::,//-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_alike_has_its_letter() {
        assert_eq!(LOOK_ALIKES.chars().count(), LATIN.len());
        assert!(LATIN.is_ascii() && !LOOK_ALIKES.contains(|c: char| c.is_ascii()));
    }

    #[test]
    fn texts_are_read_as_they_look() {
        for (text, seen) in [
            ("\u{421}orr\u{435}\u{441}t", "Correct"),
            ("\u{ff23}orrect\u{ff1a}", "Correct:"),
            ("\u{1d402}\u{1d428}\u{1d42b}\u{1d42b}", "Corr"),
            ("\u{1d670}\u{1d68a}\u{1d7d8}\u{1d7ff}", "Aa09"),
            ("\u{24b7}\u{24e9}", "Bz"),
            ("\u{1f131}\u{249c}", "Ba"),
            ("e\u{301}\u{e0}", "ea"),
            ("a\u{2003}b\u{202e}c\u{2066}", "a bc"),
            ("\u{391}\u{392}\n", "AB\n"),
            ("答案\u{3c0}", "答案\u{3c0}"),
        ] {
            assert_eq!(as_seen(text), seen, "{text:?}");
        }
    }
}
