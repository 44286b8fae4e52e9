//! Safetensors files that are cut short, lie or are something else.

use super::*;

fn file_of(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn what_safetensors_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let made = [floats("b", &[2], &[1.5, -2.0]), zeros("a", Stored::F16, &[2, 0]), zeros("c", Stored::I64, &[])];
    let path = write_with(&folder.path().join("a.safetensors"), &made, &[("format", "pt")]);
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    let entry = checkpoint.entry("b").unwrap();
    assert_eq!((entry.dtype, entry.shape, entry.bytes), (Dtype::F32, &[2][..], &made[0].3[..]));
    assert_eq!(checkpoint.entry("c").unwrap().shape, [0; 0]);
    assert!(checkpoint.entry("d").is_none());
}

#[test]
fn a_file_that_was_cut_short_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("a.safetensors"), &[floats("b", &[2], &[1.5, -2.0])]);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let said = refusal(&path);
        assert!(said.contains("a.safetensors is "), "{length}: {said}");
    }
    std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(refusal(&path).ends_with("a.safetensors has 1 bytes after its last tensor"));
}

#[test]
fn a_header_that_lies_is_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let huge = format!(r#"{{"a":{{"dtype":"F32","shape":[{0},{0}],"data_offsets":[0,4]}}}}"#, usize::MAX);
    let deep = format!(r#"{{"a":{}"#, "[".repeat(100_000));
    for (header, words) in [
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "`a` of [2] f32 cannot lie in bytes 0..4"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "`a` of [1] f32 cannot lie in bytes 4..0"),
        (
            r#"{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}"#,
            "`a` ends at byte 36 of the data and 8 are there",
        ),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "`a` has a hole before it"),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            "`b` overlaps the tensor before it",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            "it names `a` twice",
        ),
        (r#"{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}}"#, "holds tensor `a` of type F4"),
        (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, "tensor `a` is described wrongly"),
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}"#, "`a` is described wrongly"),
        (r#"{"__metadata__":{"a":1}}"#, "its header is no JSON"),
        (r#"[1,2]"#, "its header is no JSON"),
        (&huge, "cannot lie in bytes 0..4"),
        (&deep, "its header is no JSON"),
    ] {
        std::fs::write(&path, file_of(header, 8)).unwrap();
        let said = refusal(&path);
        assert!(said.contains("a.safetensors") && said.contains(words), "{words} in {said}");
    }
}

#[test]
fn a_header_that_was_changed_anywhere_is_no_reason_to_panic() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}"#;
    let whole = file_of(header, 8);
    assert_eq!(header::read(&whole).unwrap().tensors.len(), 2);
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut changed = whole.clone();
            changed[at] = byte;
            if let Ok(header) = header::read(&changed) {
                assert!(header.tensors.iter().all(|tensor| tensor.bytes.of(&changed).len() <= 8));
            }
        }
    }
}

#[test]
fn an_absurd_header_length_is_refused_before_memory_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for length in [u64::MAX, 1 << 62, 100_000_001] {
        std::fs::write(&path, [&length.to_le_bytes()[..], b"{}"].concat()).unwrap();
        let words = format!("a.safetensors is no safetensors file: its header would be {length} bytes long");
        assert!(refusal(&path).ends_with(&words), "{}", refusal(&path));
    }
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for (bytes, words, help) in [
        (&b"GGUF\x03\0\0\0 and more"[..], "is a GGUF file", "bf16"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "is only a note of Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "is a web page", "itself"),
        (b"{\"weight_map\": {}}", "is JSON", ".safetensors.index.json"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "is of torch's old format", ".safetensors"),
        (b"\x80\x02}q\0.", "is a bare pickle", ".safetensors"),
        (b"PK\x03\x04 cut short", "is cut short or no zip archive", "again"),
        (b"", "is too short for a safetensors file: 0 bytes", "again"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        let details = crate::pipeline::types::error::Reportable::details(&error);
        assert_eq!(details.file.as_deref(), Some(&*path));
        assert!(details.help.unwrap().contains(help), "{words}");
    }
}
