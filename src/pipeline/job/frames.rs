//! Frames in safetensors files: the guide that the engine is shown, and what it made. No codec comes between.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{JobError, SlotKind, write_whole};
use crate::pipeline::types::video::{Frame, Size};

/// What a guide file holds beside its frames.
#[derive(Debug, Clone, PartialEq)]
pub struct GuideHead {
    pub size: Size,
    pub slots: Vec<SlotKind>,
    /// 1 where the model makes the frame, 0 where it keeps it; between them it keeps a part.
    pub mask: Vec<f32>,
    /// The same of each latent.
    pub latent_mask: Vec<f32>,
}

/// Writes the guide, a frame at a time.
pub fn write_guide<E: From<JobError>>(
    path: &Path,
    head: &GuideHead,
    mut frame: impl FnMut(usize) -> Result<Frame, E>,
) -> Result<(), E> {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let slots: Vec<u8> = head.slots.iter().map(|slot| *slot as u8).collect();
    let small =
        [("slot", "U8", slots), ("mask", "F32", floats(&head.mask)), ("latent_mask", "F32", floats(&head.latent_mask))];
    let counts = [head.slots.len(), head.mask.len(), head.latent_mask.len()];
    let frames = head.slots.len();
    let mut failed = None;
    let written = write_whole(path, |file| {
        file.write_all(&header(head.size, frames, &small, counts))?;
        for index in 0..frames {
            match frame(index) {
                Ok(frame) => file.write_all(&frame.rgb)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a frame is missing"));
                }
            }
        }
        small.iter().try_for_each(|(_, _, bytes)| file.write_all(bytes))
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// Writes frames and nothing else: what was made, or reference images.
pub fn write_frames<F: AsRef<[u8]>>(path: &Path, size: Size, frames: &[F]) -> Result<(), JobError> {
    write_whole(path, |file| {
        file.write_all(&header(size, frames.len(), &[], [0; 3]))?;
        frames.iter().try_for_each(|frame| file.write_all(frame.as_ref()))
    })
}

/// The safetensors header: `frames` first, so that the largest part is where a reader expects it.
fn header(size: Size, frames: usize, small: &[(&str, &str, Vec<u8>)], counts: [usize; 3]) -> Vec<u8> {
    let mut end = frames * size.rgb_bytes();
    let mut tensors = serde_json::Map::new();
    let shape = [frames, size.height as usize, size.width as usize, 3];
    tensors.insert("frames".into(), serde_json::json!({"dtype": "U8", "shape": shape, "data_offsets": [0, end]}));
    for ((name, dtype, bytes), count) in small.iter().zip(counts) {
        let begin = end;
        end += bytes.len();
        tensors.insert(
            (*name).into(),
            serde_json::json!({"dtype": dtype, "shape": [count], "data_offsets": [begin, end]}),
        );
    }
    let mut text = serde_json::Value::Object(tensors).to_string().into_bytes();
    // Aligned, so that readers can map the tensors.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    header
}

/// Frames in a safetensors file, read one at a time.
#[derive(Debug)]
pub struct FrameFile {
    path: PathBuf,
    file: File,
    tensors: serde_json::Map<String, serde_json::Value>,
    data: u64,
    pub size: Size,
    pub frames: usize,
}

impl FrameFile {
    /// Checks the header against the file's length; a file that was cut short or edited is refused.
    pub fn open(path: &Path) -> Result<Self, JobError> {
        const LONGEST_HEADER: u64 = 1 << 20;
        let malformed = |problem: &str| JobError::malformed(path, problem);
        let mut file = File::open(path).map_err(JobError::read(path))?;
        let length = file.metadata().map_err(JobError::read(path))?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(|_| malformed("it is too short for a header"))?;
        let text_length = u64::from_le_bytes(prefix);
        if text_length > LONGEST_HEADER || 8 + text_length > length {
            return Err(malformed("its header is longer than it can be"));
        }
        let mut text = vec![0; text_length as usize];
        file.read_exact(&mut text).map_err(JobError::read(path))?;
        let tensors: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)
            .map_err(|error| JobError::malformed(path, format!("its header is no JSON: {error}")))?;
        let data = 8 + text_length;
        let ends = tensors.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
        if ends.max() != Some(length - data) {
            return Err(malformed("its length is not that of its tensors"));
        }
        let shape: Vec<u64> = serde_json::from_value(
            tensors.get("frames").map_or_else(Default::default, |frames| frames["shape"].clone()),
        )
        .map_err(|_| malformed("it has no tensor `frames`"))?;
        let [frames, height, width, 3] = shape[..] else {
            return Err(malformed("its frames are not [T, H, W, 3]"));
        };
        let size = Size::new(width as u32, height as u32);
        let bytes = frames.checked_mul(height).and_then(|n| n.checked_mul(width)).and_then(|n| n.checked_mul(3));
        let place = &tensors["frames"]["data_offsets"];
        if bytes.is_none() || place[0].as_u64() != Some(0) || place[1].as_u64() != bytes {
            return Err(malformed("its frames do not fill their place"));
        }
        Ok(Self { path: path.to_owned(), file, tensors, data, size, frames: frames as usize })
    }

    pub fn frame(&mut self, index: usize) -> Result<Frame, JobError> {
        let bytes = self.size.rgb_bytes();
        let rgb = self.bytes(index as u64 * bytes as u64, bytes)?;
        Ok(Frame { size: self.size, rgb })
    }

    /// All of them, 8-bit RGB.
    pub fn all(mut self) -> Result<Vec<Vec<u8>>, JobError> {
        (0..self.frames).map(|index| Ok(self.frame(index)?.rgb)).collect()
    }

    /// The rest of a guide file.
    pub fn guide_head(&mut self) -> Result<GuideHead, JobError> {
        let slots = self.tensor("slot", "U8")?;
        let floats = |bytes: Vec<u8>| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let (mask, latent_mask) = (floats(self.tensor("mask", "F32")?), floats(self.tensor("latent_mask", "F32")?));
        let latents = self.frames.saturating_sub(1) / 4 + 1;
        for (name, mask, wanted) in [("mask", &mask, self.frames), ("latent_mask", &latent_mask, latents)] {
            let shares = mask.iter().all(|share| (0.0..=1.0).contains(share));
            if !shares || mask.len() != wanted {
                let problem = format!("its `{name}` is not {wanted} numbers from 0 to 1");
                return Err(JobError::malformed(&self.path, problem));
            }
        }
        let slots: Option<Vec<SlotKind>> = slots.into_iter().map(SlotKind::of).collect();
        let slots = slots.filter(|slots| slots.len() == self.frames);
        let slots =
            slots.ok_or_else(|| JobError::malformed(&self.path, "its slots are not one known kind for each frame"))?;
        Ok(GuideHead { size: self.size, slots, mask, latent_mask })
    }

    fn tensor(&mut self, name: &str, dtype: &str) -> Result<Vec<u8>, JobError> {
        let missing = || JobError::malformed(&self.path, format!("it has no tensor `{name}` of type {dtype}"));
        let tensor = self.tensors.get(name).filter(|tensor| tensor["dtype"] == dtype).ok_or_else(missing)?;
        let (begin, end) = (tensor["data_offsets"][0].as_u64(), tensor["data_offsets"][1].as_u64());
        let (begin, end) = begin.zip(end).filter(|(begin, end)| begin <= end).ok_or_else(missing)?;
        self.bytes(begin, (end - begin) as usize)
    }

    fn bytes(&mut self, at: u64, count: usize) -> Result<Vec<u8>, JobError> {
        let mut bytes = vec![0; count];
        let read = self.file.seek(SeekFrom::Start(self.data + at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(JobError::read(&self.path))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pipeline::job::GUIDE;

    fn guide(folder: &Path) -> (PathBuf, GuideHead) {
        let path = folder.join(GUIDE);
        let size = Size::new(6, 4);
        let slots = vec![SlotKind::Keep, SlotKind::Fill, SlotKind::Anchor, SlotKind::Fill, SlotKind::Keep];
        let head = GuideHead { size, slots, mask: vec![0.0, 1.0, 0.0, 1.0, 0.0], latent_mask: vec![0.0, 1.0] };
        let frame = |index: usize| Ok::<_, JobError>(Frame::filled(size, [index as u8 * 10; 3]));
        write_guide(&path, &head, frame).unwrap();
        (path, head)
    }

    #[test]
    fn a_guide_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, head) = guide(folder.path());
        let mut file = FrameFile::open(&path).unwrap();
        assert_eq!(file.guide_head().unwrap(), head);
        assert_eq!((0..5).map(|n| file.frame(n).unwrap().rgb[0]).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn a_guide_that_was_cut_short_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = guide(folder.path());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(FrameFile::open(&path), Err(JobError::Malformed { .. })), "{length}");
        }
    }

    #[test]
    fn a_mask_that_is_no_share_of_every_frame_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, good) = guide(folder.path());
        let write = |head: &GuideHead| {
            let frame = |_| Ok::<_, JobError>(Frame::filled(head.size, [0; 3]));
            write_guide(&path, head, frame).unwrap();
            FrameFile::open(&path).unwrap().guide_head()
        };
        let soft = GuideHead { mask: vec![0.0, 0.25, 0.5, 0.75, 1.0], latent_mask: vec![0.0, 0.5], ..good.clone() };
        assert_eq!(write(&soft).unwrap(), soft);
        for wrong in [-0.1, 1.1, f32::NAN] {
            for (name, head) in [
                ("`mask`", GuideHead { mask: [&good.mask[1..], &[wrong]].concat(), ..good.clone() }),
                ("`latent_mask`", GuideHead { latent_mask: vec![0.0, wrong], ..good.clone() }),
            ] {
                let error = write(&head).unwrap_err().to_string();
                assert!(error.contains(name) && error.contains("numbers from 0 to 1"), "{error}");
            }
        }
        let error = write(&GuideHead { latent_mask: vec![0.0], ..good }).unwrap_err().to_string();
        assert!(error.contains("`latent_mask` is not 2 numbers"), "{error}");
    }

    #[test]
    fn a_frame_that_cannot_be_had_leaves_no_guide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GUIDE);
        let head =
            GuideHead { size: Size::new(2, 2), slots: vec![SlotKind::Fill], mask: vec![1.0], latent_mask: vec![1.0] };
        let none = |_| Err(JobError::Malformed { path: "x".into(), problem: "not there".into() });
        assert!(matches!(write_guide(&path, &head, none), Err(JobError::Malformed { .. })));
        assert!(!path.exists());
    }
}
