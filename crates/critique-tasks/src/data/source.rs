//! The bytes and lines of a file of rows: plain or gzip, within limits.
//!
//! Every file of rows is read here, so that byte order marks, line ends, packing and limits are
//! the same for all of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use crate::data::file::row_error;
use crate::data::record::Fault;
use crate::error::TaskError;
use crate::text::line_at;

/// What a file may ask of memory and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one line.
    line: usize,
    /// Bytes of a file that has to be read whole.
    whole: u64,
    /// Bytes of a file of lines.
    unpacked: u64,
    /// Bytes that gzip may unpack to, whatever its size.
    granted: u64,
    /// Times its own size that gzip may unpack to beyond that.
    ratio: u64,
}

const MIB: u64 = 1 << 20;

/// The limits of docs/tasks.md, "Files of rows".
const LIMITS: Limits = Limits {
    line: 16 << 20,
    whole: 512 * MIB,
    unpacked: 8192 * MIB,
    granted: 64 * MIB,
    ratio: 200,
};

/// First bytes of files that are packed otherwise, or no UTF-8, with what they are.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"\xfd7zXZ", "packed by xz"),
    (b"BZh", "packed by bzip2"),
];

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A byte order mark in UTF-8; each of several joined files may start with one.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file being read.
pub(crate) struct Source<'a> {
    path: PathBuf,
    reader: Box<dyn BufRead + 'a>,
    /// Most bytes that may be read.
    most: u64,
    taken: u64,
    line: usize,
    limits: Limits,
}

impl<'a> Source<'a> {
    /// A file, unpacked where it is gzip by its first two bytes.
    pub(crate) fn open(path: &Path) -> Result<Source<'static>, TaskError> {
        Source::within(path, LIMITS)
    }

    fn within(path: &Path, limits: Limits) -> Result<Source<'static>, TaskError> {
        let failed = |source| TaskError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let start = reader.fill_buf().map_err(failed)?;
        if let Some((_, what)) = FOREIGN.iter().find(|(mark, _)| start.starts_with(mark)) {
            return Err(TaskError::File {
                path: path.to_owned(),
                message: format!("is {what}; expected UTF-8, plain or packed by gzip"),
            });
        }
        let packed = start.starts_with(&GZIP);
        let mut source = Source {
            path: path.to_owned(),
            reader: Box::new(reader),
            most: limits.unpacked,
            taken: 0,
            line: 0,
            limits,
        };
        if packed {
            let unpacked = limits
                .granted
                .saturating_add(limits.ratio.saturating_mul(size));
            source.most = source.most.min(unpacked);
            source.reader = Box::new(BufReader::with_capacity(
                1 << 16,
                Members::new(source.reader),
            ));
        }
        Ok(source)
    }

    /// A text in memory; `path` is for messages.
    pub(crate) fn of_text(path: &Path, text: &'a str) -> Self {
        Self {
            path: path.to_owned(),
            reader: Box::new(text.as_bytes()),
            most: u64::MAX,
            taken: 0,
            line: 0,
            limits: LIMITS,
        }
    }

    /// The file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it as text, without byte order marks at its start.
    pub(crate) fn text(mut self) -> Result<String, TaskError> {
        self.most = self.most.min(self.limits.whole);
        let mut bytes = Vec::new();
        loop {
            let part = self.more()?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(part);
            let count = part.len();
            self.pass(count);
        }
        while bytes.starts_with(MARK) {
            bytes.drain(..MARK.len());
        }
        String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            row_error(&self.path, line_at(error.as_bytes(), good), &no_text())
        })
    }

    /// The next line that holds more than white space, with its number from 1.
    fn next_line(&mut self) -> Result<Option<(usize, String)>, TaskError> {
        loop {
            self.skip_empty_lines()?;
            let Some(bytes) = self.line_bytes()? else {
                return Ok(None);
            };
            let mut bytes = bytes.as_slice();
            while let Some(rest) = bytes.strip_prefix(MARK) {
                bytes = rest;
            }
            let line = std::str::from_utf8(bytes)
                .map_err(|_| row_error(&self.path, self.line, &no_text()))?
                .trim();
            if !line.is_empty() {
                return Ok(Some((self.line, line.to_owned())));
            }
        }
    }

    /// A gigabyte of line ends is passed over at the speed of its bytes.
    fn skip_empty_lines(&mut self) -> Result<(), TaskError> {
        loop {
            let part = self.more()?;
            let count = part.iter().take_while(|byte| **byte == b'\n').count();
            if count == 0 {
                return Ok(());
            }
            self.line += count;
            self.pass(count);
        }
    }

    /// The bytes of the next line without its end; `None` behind the last.
    fn line_bytes(&mut self) -> Result<Option<Vec<u8>>, TaskError> {
        let mut bytes = Vec::new();
        self.line += 1;
        loop {
            let most = self.limits.line;
            let part = self.more()?;
            if part.is_empty() {
                return Ok((!bytes.is_empty()).then_some(bytes));
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let count = end.unwrap_or(part.len());
            bytes.extend_from_slice(&part[..count]);
            self.pass(count + usize::from(end.is_some()));
            if bytes.len() > most {
                return Err(self.fault(format!(
                    "the line is longer than {}, the most that a row may have",
                    size(most as u64)
                )));
            }
            if end.is_some() {
                return Ok(Some(bytes));
            }
        }
    }

    /// What is next in the reader's buffer; empty at the end.
    fn more(&mut self) -> Result<&[u8], TaskError> {
        if self.taken > self.most {
            return Err(self.too_large());
        }
        let place = self.line.max(1);
        let path = &self.path;
        self.reader.fill_buf().map_err(|source| {
            use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
            match source.kind() {
                UnexpectedEof => row_error(
                    path,
                    place,
                    &Fault::new("the gzip data breaks off behind this line; fetch the file again"),
                ),
                InvalidData | InvalidInput => row_error(
                    path,
                    place,
                    &Fault::new(format!(
                        "the gzip data is damaged behind this line: {source}"
                    )),
                ),
                _ => TaskError::Read {
                    path: path.clone(),
                    source,
                },
            }
        })
    }

    fn pass(&mut self, count: usize) {
        self.reader.consume(count);
        self.taken += count as u64;
    }

    fn too_large(&self) -> TaskError {
        let message = if self.most == self.limits.whole {
            format!(
                "the file has more than {}, the most that is read at once; write JSON lines",
                size(self.most)
            )
        } else if self.most == self.limits.unpacked {
            format!(
                "the file has more than {}; split it into numbered files",
                size(self.most)
            )
        } else {
            format!(
                "the gzip data unpacks to more than {} (64 MiB and {} times its own size); \
                 unpack the file if that is meant",
                size(self.most),
                self.limits.ratio
            )
        };
        self.fault(message)
    }

    fn fault(&self, message: String) -> TaskError {
        row_error(&self.path, self.line.max(1), &Fault::new(message))
    }
}

impl Iterator for Source<'_> {
    type Item = Result<(usize, String), TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

fn no_text() -> Fault {
    Fault::new("the text is not UTF-8; convert the file")
}

fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{bytes} bytes")
    }
}

/// The members of a gzip file, one behind the other, with zeros between and behind them as tapes
/// and block devices leave them.
struct Members<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(reader: R) -> Self {
        Self {
            member: Some(GzDecoder::new(reader)),
        }
    }

    /// Goes on to the next member, if there is one.
    fn advance(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let mut rest = member.into_inner();
        loop {
            let part = rest.fill_buf()?;
            let Some(first) = part.iter().find(|byte| **byte != 0) else {
                let count = part.len();
                if count == 0 {
                    return Ok(());
                }
                rest.consume(count);
                continue;
            };
            if *first != GZIP[0] {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "what follows it is neither gzip nor zeros",
                ));
            }
            let zeros = part.iter().take_while(|byte| **byte == 0).count();
            rest.consume(zeros);
            self.member = Some(GzDecoder::new(rest));
            return Ok(());
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            self.advance()?;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        line: 10,
        whole: 30,
        unpacked: 40,
        granted: 20,
        ratio: 0,
    };

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn lines(bytes: &[u8], limits: Limits) -> Result<Vec<(usize, String)>, String> {
        let file = written(bytes);
        let place = file.path().display().to_string();
        Source::within(file.path(), limits)
            .and_then(Iterator::collect)
            .map_err(|error| error.to_string().replace(&place, "f"))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_end_in_either_way_and_marks_at_their_start_go() {
        let text = b"\xef\xbb\xbfa\r\n\r\n\n \t\nb\n\xef\xbb\xbfc";
        let found = lines(text, LIMITS).unwrap();
        let wanted = [(1, "a"), (5, "b"), (6, "c")].map(|(at, text)| (at, text.to_owned()));
        assert_eq!(found, wanted);
        assert_eq!(lines(b"", LIMITS).unwrap(), []);
        assert_eq!(lines(b"\xef\xbb\xbf", LIMITS).unwrap(), []);
    }

    #[test]
    fn members_and_zeros_are_read_through() {
        let wanted = Ok(vec![(1, "a".to_owned()), (2, "b".to_owned())]);
        let two = [gzip(b"a\n"), gzip(b""), gzip(b"\xef\xbb\xbfb")].concat();
        assert_eq!(lines(&two, LIMITS), wanted);
        for zeros in [1, 2, 511, 200_000] {
            let zeros = vec![0; zeros];
            assert_eq!(lines(&[&two, &*zeros].concat(), LIMITS), wanted);
            let between = [&gzip(b"a\n"), &*zeros, &gzip(b"b")].concat();
            assert_eq!(lines(&between, LIMITS), wanted);
        }
    }

    #[test]
    fn damage_is_named() {
        let good = gzip(b"a\nb\n");
        let fault = |bytes: &[u8]| lines(bytes, LIMITS).unwrap_err();
        assert!(fault(&good[..good.len() - 3]).contains("breaks off behind this line"));
        assert!(fault(&good[..12]).contains("breaks off"));
        let garbage = [&good[..], b"\0\0x"].concat();
        assert!(fault(&garbage).contains("neither gzip nor zeros"));
        let mut flipped = good.clone();
        let crc = flipped.len() - 6;
        flipped[crc] ^= 1;
        assert!(fault(&flipped).contains("damaged"), "{}", fault(&flipped));
        assert_eq!(
            fault(b"\xff\xfea\0"),
            "f: is UTF-16; expected UTF-8, plain or packed by gzip"
        );
        assert!(fault(b"PK\x03\x04..").contains("a zip archive"));
        assert_eq!(
            fault(b"a\n\n\xff\n"),
            "f:3: the text is not UTF-8; convert the file"
        );
    }

    #[test]
    fn every_limit_is_named_with_its_place() {
        let fault = |bytes: &[u8]| lines(bytes, SMALL).unwrap_err();
        assert_eq!(
            fault(b"ab\n01234567890\n"),
            "f:2: the line is longer than 10 bytes, the most that a row may have"
        );
        assert_eq!(lines(b"0123456789\n", SMALL).unwrap().len(), 1);
        assert_eq!(
            fault(&b"0123456\n".repeat(6)),
            "f:6: the file has more than 40 bytes; split it into numbered files"
        );
        assert!(fault(&gzip(&b"01234\n".repeat(6))).contains("unpacks to more than 20 bytes"));
        let file = written(&b"01234\n".repeat(6));
        let source = Source::within(file.path(), SMALL).unwrap();
        assert!(
            source
                .text()
                .unwrap_err()
                .to_string()
                .contains("read at once")
        );
    }

    #[test]
    fn a_bomb_is_refused_long_before_it_is_unpacked() {
        // 300 MiB of blanks, of line ends and of rows, in 300 KiB each.
        for line in [&b" "[..], b"\n", b"{}\n"] {
            let member = gzip(&line.repeat((10 << 20) / line.len()));
            let file = written(&member.repeat(30));
            let mut source = Source::open(file.path()).unwrap();
            let error = source.find_map(Result::err).unwrap().to_string();
            assert!(source.taken < 150 << 20, "{}", source.taken);
            let known = ["longer than 16 MiB", "64 MiB and 200 times its own size"];
            assert!(known.iter().any(|text| error.contains(text)), "{error}");
        }
    }
}
