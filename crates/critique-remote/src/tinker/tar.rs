//! The two files of an adapter out of a `tar.gz`.

use std::io::Read;

use flate2::read::GzDecoder;

const BLOCK: usize = 512;
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// Largest archive when unpacked.
const UNPACKED_BYTES: u64 = 16 << 30;

/// Names and contents. Entries by other names are passed over: none of them becomes a file.
pub(super) fn unpack_adapter(archive: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    let mut tar = Vec::new();
    let mut reader = GzDecoder::new(archive).take(UNPACKED_BYTES);
    reader
        .read_to_end(&mut tar)
        .map_err(|error| format!("is no tar.gz: {error}"))?;
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(header) = tar.get(at..at + BLOCK).filter(|it| it[0] != 0) {
        let size = octal(&header[124..136])?;
        let begin = at + BLOCK;
        let content = begin.checked_add(size).and_then(|end| tar.get(begin..end));
        let content = content.ok_or("is a tar that ends in the middle of a file")?;
        let name = String::from_utf8_lossy(&header[..100]);
        let name = name.trim_end_matches('\0').trim_start_matches("./");
        let wanted = FILES.into_iter().find(|it| *it == name);
        if let (Some(name), b'0' | 0) = (wanted, header[156]) {
            found.push((name, content.to_vec()));
        }
        at = begin + size.div_ceil(BLOCK) * BLOCK;
    }
    for file in FILES {
        if !found.iter().any(|(name, _)| *name == file) {
            return Err(format!(
                "is an archive without `{file}`; full weights are not fetched"
            ));
        }
    }
    Ok(found)
}

fn octal(field: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(field);
    let text = text.trim_matches(['\0', ' ']);
    usize::from_str_radix(text, 8).map_err(|_| format!("is a tar with a file of size `{text}`"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block.extend(content);
        block.resize(block.len().div_ceil(BLOCK) * BLOCK, 0);
        block
    }

    fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&entries.concat()).unwrap();
        gz.write_all(&[0; 2 * BLOCK]).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn the_two_files_are_found_and_nothing_else() {
        let archive = pack(&[
            entry("PaxHeaders/x", b'x', b"30 mtime=1.5\n"),
            entry("../../etc/passwd", b'0', b"root"),
            entry("./adapter_config.json", b'0', b"{}"),
            entry("adapter_model.safetensors", b'0', &[7; 1000]),
            entry("adapter_model.safetensors", b'2', b""),
        ]);
        let files = unpack_adapter(&archive).unwrap();
        assert_eq!(files[0], ("adapter_config.json", b"{}".to_vec()));
        assert_eq!((files.len(), files[1].1.len()), (2, 1000));
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        let cut = entry("adapter_config.json", b'0', &[1; 2000])[..600].to_vec();
        let mut odd = entry("adapter_config.json", b'0', b"{}");
        odd[124..135].copy_from_slice(b"99999999999");
        for (bytes, want) in [
            (b"hello".to_vec(), "no tar.gz"),
            (pack(&[]), "without `adapter_config.json`"),
            (
                pack(&[entry("adapter_config.json", b'0', b"{}")]),
                "without `adapter_model",
            ),
            (pack(&[odd]), "a file of size"),
        ] {
            let error = unpack_adapter(&bytes).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&cut).unwrap();
        assert!(
            unpack_adapter(&gz.finish().unwrap())
                .unwrap_err()
                .contains("in the middle")
        );
    }
}
