//! Files of torch.save: real ones, and ones that would do harm to a reader that obeys.

use super::*;
use crate::pipeline::weights::pickle::{self, Value};

/// A zip archive with stored entries, as torch writes them but for the checksums, which nobody here reads.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![], vec![]);
    for (name, data) in entries {
        let (at, length) = ((bytes.len() as u32).to_le_bytes(), (data.len() as u32).to_le_bytes());
        let name_length = (name.len() as u16).to_le_bytes();
        bytes.extend(
            [&b"PK\x03\x04"[..], &[0; 14], &length, &length, &name_length, &[0; 2], name.as_bytes(), data].concat(),
        );
        let head = [&b"PK\x01\x02"[..], &[0; 16], &length, &length, &name_length, &[0; 12], &at];
        directory.extend([&head.concat()[..], name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (length, at) = ((directory.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    [&bytes[..], &directory, b"PK\x05\x06", &[0; 4], &count, &count, &length, &at, &[0; 2]].concat()
}

/// The same with every number in its wide form.
fn wide_archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![], vec![]);
    for (name, data) in entries {
        let (at, length) = ((bytes.len() as u64).to_le_bytes(), (data.len() as u64).to_le_bytes());
        let name_length = (name.len() as u16).to_le_bytes();
        bytes.extend([&b"PK\x03\x04"[..], &[0; 14], &[0xff; 8], &name_length, &[0; 2], name.as_bytes(), data].concat());
        let extra = [&b"\x0a\0\x02\0ab"[..], b"\x01\0\x18\0", &length, &length, &at].concat();
        let extra_length = (extra.len() as u16).to_le_bytes();
        let head = [&b"PK\x01\x02"[..], &[0; 16], &[0xff; 8], &name_length, &extra_length, &[0; 10], &[0xff; 4]];
        directory.extend([&head.concat()[..], name.as_bytes(), &extra].concat());
    }
    let count = (entries.len() as u64).to_le_bytes();
    let (length, at) = ((directory.len() as u64).to_le_bytes(), (bytes.len() as u64).to_le_bytes());
    let end = ((bytes.len() + directory.len()) as u64).to_le_bytes();
    let end_64 = [&b"PK\x06\x06"[..], &44_u64.to_le_bytes(), &[0; 12], &count, &count, &length, &at].concat();
    let locator = [&b"PK\x06\x07"[..], &[0; 4], &end, &[1, 0, 0, 0]].concat();
    [&bytes[..], &directory, &end_64, &locator, b"PK\x05\x06", &[0; 4], &[0xff; 12], &[0; 2]].concat()
}

/// `{"w": tensor}` with these numbers for the tensor, its two numbers being 1 and 2.
fn one_tensor(offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple =
        |numbers: &[u8]| [&b"("[..], &numbers.iter().flat_map(|n| [b'K', *n]).collect::<Vec<_>>(), b"t"].concat();
    [
        &b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"[..],
        b"X\x01\0\0\0\x30X\x03\0\0\0cpuK\x02tQK",
        &[offset],
        &tuple(shape),
        &tuple(strides),
        b"\x89}tRs.",
    ]
    .concat()
}

fn numbers() -> Vec<u8> {
    [1.0_f32, 2.0].iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// What is said of an archive with this pickle.
fn said_of(pickle: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    std::fs::write(&path, archive(&[("a/data.pkl", pickle), ("a/data/0", &numbers())])).unwrap();
    refusal(&path)
}

#[test]
fn what_torch_saves_is_read_to_the_byte() {
    let saved = open(&fixture("pickles/kinds.pth")).unwrap();
    let same = open(&fixture("pickles/kinds.safetensors")).unwrap();
    assert_eq!(saved.names().collect::<Vec<_>>(), same.names().collect::<Vec<_>>());
    assert!(saved.names().count() > 4);
    for name in same.names() {
        let (saved, same) = (saved.entry(name).unwrap(), same.entry(name).unwrap());
        assert_eq!((saved.dtype, saved.shape, saved.bytes), (same.dtype, same.shape, same.bytes), "{name}");
    }
    assert!(open(&fixture("pickles/nested.pth")).unwrap().names().count() > 0);
}

#[test]
fn wans_own_pth_files_are_the_models_that_diffusers_holds() {
    for (saved, same) in [("pickles/vae.pth", "tiny/vae"), ("pickles/text.pth", "tiny/text_encoder")] {
        let (saved, same) = (open(&fixture(saved)).unwrap(), open(&fixture(same)).unwrap());
        let ((what, problems), (same_what, _)) = (saved.check().unwrap(), same.check().unwrap());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(what.name(), same_what.name());
        assert_eq!(saved.survey().unwrap().naming, Some("original"));
        assert_eq!(saved.names().collect::<Vec<_>>(), same.names().collect::<Vec<_>>());
        for name in same.names() {
            assert_eq!(saved.entry(name).unwrap().bytes, same.entry(name).unwrap().bytes, "{name}");
        }
    }
}

#[test]
fn a_pickle_that_names_what_no_checkpoint_needs_is_refused_by_that_name_and_nothing_runs() {
    for (file, what) in [("evil_system", "system"), ("evil_eval", "eval"), ("evil_getattr", "getattr")] {
        let path = fixture("pickles").join(format!("{file}.pth"));
        let error = open(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(open(&fixture("pickles/evil_bare.pth")).unwrap_err().to_string().contains("is a bare pickle"));
    for (pickle, what) in [
        (&b"\x80\x02cos\nsystem\n(X\x04\0\0\0truetR."[..], "`os.system`"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "`builtins.eval`"),
        (b"\x80\x02ctorch\nload\n.", "`torch.load`"),
        (b"\x80\x02ctorch._utils\n_rebuild_qtensor\n.", "`torch._utils._rebuild_qtensor`"),
        (b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81.", "`torch.nn.modules.linear.Linear`"),
        // Opcodes that call or make instances without a name on the stack: NEWOBJ, OBJ, INST, EXT1.
        (b"\x80\x02)\x81.", "opcode"),
        (b"(o.", "opcode"),
        (b"(ios\nsystem\n.", "opcode"),
        (b"\x82\x01.", "opcode"),
    ] {
        let said = said_of(pickle);
        assert!(said.contains("a.pth asks for ") && said.contains(what), "{what} in {said}");
    }
}

#[test]
fn tensors_are_read_in_their_order_and_must_lie_whole_in_their_storage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    let write = |pickle: &[u8]| {
        std::fs::write(&path, archive(&[("a/data.pkl", pickle), ("a/data/0", &numbers())])).unwrap();
    };
    let (one, two) = (&numbers()[..4], &numbers()[4..]);
    for (offset, shape, strides, bytes) in [
        (0, &[2][..], &[1][..], [one, two].concat()),
        (1, &[1, 1], &[9, 9], two.to_vec()),
        (0, &[1, 2], &[7, 1], [one, two].concat()),
        (0, &[], &[], one.to_vec()),
        (2, &[0, 5], &[5, 1], vec![]),
        // Views: in another order, or of the same numbers several times.
        (0, &[2, 2], &[1, 0], [one, one, two, two].concat()),
        (0, &[2, 2], &[0, 1], [one, two, one, two].concat()),
    ] {
        write(&one_tensor(offset, shape, strides));
        let checkpoint = open(&path).unwrap();
        assert_eq!(checkpoint.entry("w").unwrap().bytes, bytes);
    }
    for (offset, shape, strides, words) in [
        (0, &[3][..], &[1][..], "reaches beyond its numbers: `w`"),
        (1, &[2], &[1], "reaches beyond its numbers: `w`"),
        (0, &[2, 2], &[2, 1], "reaches beyond its numbers: `w`"),
        (255, &[255, 255, 255], &[1, 1, 1], "reaches beyond its numbers: `w`"),
        (0, &[255, 255, 255], &[0, 0, 0], "holds views of more numbers than it has: `w`"),
        (0, &[2], &[1, 1], "builds a tensor in a way that torch does not"),
    ] {
        write(&one_tensor(offset, shape, strides));
        assert!(refusal(&path).contains(words), "{words} in {}", refusal(&path));
    }
    std::fs::write(&path, archive(&[("a/data.pkl", &one_tensor(0, &[2], &[1]))])).unwrap();
    assert!(refusal(&path).ends_with("has no numbers for `w`"));
}

#[test]
fn archives_as_big_as_the_text_encoders_and_as_macos_packs_them_are_read() {
    let pickle = one_tensor(0, &[2], &[1]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    let entries = [
        ("__MACOSX/a/data.pkl", &b"\x80\x02cos\nsystem\n."[..]),
        ("a/data.pkl", &pickle),
        ("a/byteorder", b"little"),
        ("a/data/0", &numbers()),
    ];
    for bytes in [archive(&entries), wide_archive(&entries), [&archive(&entries)[..], b"a comment"].concat()] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(open(&path).unwrap().entry("w").unwrap().bytes, numbers());
    }
    let big = [("a/data.pkl", &pickle[..]), ("a/byteorder", b"big"), ("a/data/0", &numbers())];
    std::fs::write(&path, archive(&big)).unwrap();
    assert!(refusal(&path).ends_with("was saved on a big-endian machine"));
    std::fs::write(&path, archive(&[("a/readme.txt", b"hello")])).unwrap();
    assert!(refusal(&path).contains("none that torch.save wrote"));
    let mut packed = archive(&entries);
    let entry = packed.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    packed[entry + 10] = 8;
    std::fs::write(&path, &packed).unwrap();
    assert!(refusal(&path).contains("is a compressed archive"));
}

#[test]
fn bombs_cost_no_more_than_their_own_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    // A tuple in a tuple in a tuple: an obeying reader's stack ends before they do.
    let nested = [&b"\x80\x02)"[..], &[0x85; 4_000_000], b"."].concat();
    // A list of twice the list before, thirty times: a billion once it is written out.
    let level = |level: u8| [&b"](h"[..], &[level - 1], b"h", &[level - 1], b"eq", &[level], b"0"].concat();
    let doubling = [&b"\x80\x02]q\x000"[..], &(1..=200).flat_map(level).collect::<Vec<_>>(), b"h\xc8."].concat();
    // One dict of many keys in a dict, a hundred thousand times.
    let keys = b"X\x01\0\0\0kK\0".repeat(10_000);
    let shared = [
        &b"\x80\x02}q\x01(X\x01\0\0\0aI"[..0],
        b"\x80\x02}q\x01(",
        &keys,
        b"u0}(",
        &b"K\0h\x01".repeat(100_000),
        b"u.",
    ]
    .concat();
    let many = [&b"\x80\x02]("[..], &[b'N'; 5_000_000], b"e."].concat();
    let long = vec![b'N'; 17 << 20];
    for (pickle, words) in [
        (&nested, "holds no dict of tensors"),
        (&doubling, "holds no dict of tensors"),
        (&shared, "holds no dict of tensors"),
        (&many, "makes more than"),
        (&long, "bytes long, more than the"),
    ] {
        std::fs::write(&path, archive(&[("a/data.pkl", pickle)])).unwrap();
        assert!(refusal(&path).contains(words), "{words} in {}", refusal(&path));
    }
}

#[test]
fn a_pickle_that_was_cut_short_or_changed_anywhere_is_no_reason_to_panic() {
    let whole = one_tensor(0, &[2], &[1]);
    for length in 0..whole.len() {
        assert!(pickle::read(&whole[..length]).is_err(), "{length}");
    }
    let saved = std::fs::read(fixture("pickles/kinds.pth")).unwrap();
    for length in 0..saved.len() {
        assert!(pth::read(&saved[..length]).is_err(), "{length}");
    }
    let mut read = 0;
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut changed = whole.clone();
            changed[at] = byte;
            read += usize::from(pth::read(&archive(&[("a/data.pkl", &changed), ("a/data/0", &numbers())])).is_ok());
        }
    }
    assert!(read > 0);
    for at in 0..saved.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = saved.clone();
            changed[at] ^= flip;
            let _ = pth::read(&changed);
        }
    }
}

#[test]
fn every_value_that_a_checkpoint_may_hold_is_read_as_what_it_is() {
    let values = pickle::read(b"\x80\x04\x95\0\0\0\0\0\0\0\0(\x8c\x01aJ\xff\xff\xff\xffM\x01\x02\x8a\x02\xff\xff\x88\x89NG\0\0\0\0\0\0\0\0(K\x01l\x94t.");
    let values = values.unwrap();
    let Value::Tuple(items) = &values[values.root] else { panic!() };
    let [word, minus, short, long, yes, no, none, float, list] = items[..] else { panic!() };
    assert_eq!((&values[word], &values[minus], &values[short]), (&Value::Word("a"), &Value::Int(-1), &Value::Int(513)));
    assert_eq!((&values[long], &values[yes], &values[no]), (&Value::Int(-1), &Value::Bool(true), &Value::Bool(false)));
    assert_eq!((&values[none], &values[float]), (&Value::None, &Value::Float));
    assert!(matches!(&values[list], Value::List(items) if items.len() == 1));
}
