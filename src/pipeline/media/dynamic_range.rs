//! Standard and high dynamic range: what says which a picture has, and how HDR comes to BT.709.

use std::{ffi::OsString, io::Read, path::Path};

use super::{
    Media,
    clip::{Clip, Color, Picture, name},
    error::{MediaError, Tool, Unusable},
    ffmpeg_compat,
    hdr::{DolbyVision, DynamicRange},
    process::{Child, Pipes},
    report::{FrameReport, SideData, Stream},
};
use crate::pipeline::types::video::{Matrix, Range};

/// What a file says of its range.
pub(super) struct RangeFacts {
    pub(super) range: DynamicRange,
    pub(super) dolby_vision: Option<DolbyVision>,
    /// In the file's own words; None where all says SDR.
    pub(super) source: Option<String>,
}

const PQ: &str = "smpte2084";
const HLG: &str = "arib-std-b67";
/// The filters that bring HDR to BT.709.
const FILTERS: [&str; 2] = ["zscale", "tonemap"];

impl Media {
    /// The range by a stream's own data, or where they do not tell it, by those of its first frame.
    pub(super) fn dynamic_range(
        &self,
        path: &Path,
        stream: &Stream,
        transfer: Option<&str>,
        primaries: Option<&str>,
    ) -> Result<RangeFacts, MediaError> {
        let dolby_vision = stream.side_data_list.iter().find_map(SideData::dolby_vision);
        if let Some(record) = dolby_vision {
            let DolbyVision { profile, compatibility } = record;
            let source = Some(format!("Dolby Vision profile {profile}, base layer {compatibility}"));
            return Ok(RangeFacts { range: record.base(), dolby_vision, source });
        }
        let facts = |range, source: Option<String>| Ok(RangeFacts { range, dolby_vision: None, source });
        match transfer {
            Some(PQ) => return facts(DynamicRange::Pq, Some(format!("transfer {PQ}"))),
            Some(HLG) => return facts(DynamicRange::Hlg, Some(format!("transfer {HLG}"))),
            Some(_) => return facts(DynamicRange::Standard, None),
            None => {}
        }
        if let Some(primaries) = primaries.filter(|primaries| *primaries == "bt2020") {
            return facts(DynamicRange::Untagged, Some(format!("primaries {primaries}, no transfer")));
        }
        let deep = stream.pix_fmt.as_deref().is_some_and(|format| ffmpeg_compat::bits(format) > 8);
        let of_frame = match deep && !stream.side_data_list.iter().any(SideData::is_hdr) {
            true => self.side_data_of_first_frame(path, stream.index)?,
            false => vec![],
        };
        match stream.side_data_list.iter().chain(&of_frame).find(|side| side.is_hdr()) {
            // Its record is not in the file, and without one nothing says what the base layer is.
            Some(side) if side.kind.contains("Dolby Vision") => {
                facts(DynamicRange::DolbyVision, Some(side.kind.clone()))
            }
            Some(side) => facts(DynamicRange::Untagged, Some(format!("{}, no transfer", side.kind.to_lowercase()))),
            None => facts(DynamicRange::Standard, None),
        }
    }

    fn side_data_of_first_frame(&self, path: &Path, stream: usize) -> Result<Vec<SideData>, MediaError> {
        let words =
            ["-read_intervals", "%+#1", "-show_frames", "-show_entries", "frame=side_data_list", "-select_streams"];
        let mut words = words.map(OsString::from).to_vec();
        words.push(stream.to_string().into());
        let purpose = format!("reading the first frame of {}", name(path));
        let (report, _): (FrameReport, _) = self.report(path, purpose, words)?;
        Ok(report.frames.into_iter().flat_map(|frame| frame.side_data_list).collect())
    }

    /// The clip as a film can use it: HDR is refused, or with `tone_map` brought to BT.709.
    pub(super) fn conform(&self, mut clip: Clip, still: bool, tone_map: bool) -> Result<Clip, MediaError> {
        let picture = &clip.picture;
        let Some(refusal) = refusal(&clip, still) else { return Ok(clip) };
        let Some(filter) = filter(picture).filter(|_| tone_map) else { return Err(refusal.into()) };
        let lacking = self.lacking_filters()?;
        if !lacking.is_empty() {
            let problem = format!("{}, and this ffmpeg cannot tone-map it", refusal.problem);
            return Err(Unusable { problem, ..refusal }
                .wanted(format!("an ffmpeg with the filters {}", FILTERS.join(" and ")))
                .found(format!("no {}", lacking.join(" and no ")))
                .into());
        }
        let bt709 = || Some("bt709".to_owned());
        clip.picture.tone_map = Some(filter);
        clip.picture.pixel_format = MAPPED.into();
        clip.picture.color = Color {
            matrix: Matrix::Bt709,
            range: Range::Limited,
            tagged_matrix: bt709(),
            primaries: bt709(),
            transfer: bt709(),
        };
        Ok(clip)
    }

    /// Those of the filters that this ffmpeg was built without.
    fn lacking_filters(&self) -> Result<Vec<&'static str>, MediaError> {
        let words = ["-v", "error", "-nostdin", "-filters"].map(OsString::from).to_vec();
        let mut child = Child::start(self, Tool::Ffmpeg, "listing its filters", Pipes::Out, words)?;
        let mut list = String::new();
        let read = child.read_to_string(&mut list);
        child.end()?;
        read.map_err(|source| MediaError::Io { path: self.program(Tool::Ffmpeg), source })?;
        let has = |filter: &&str| list.lines().any(|line| line.split_whitespace().nth(1) == Some(filter));
        Ok(FILTERS.into_iter().filter(|filter| !has(filter)).collect())
    }
}

/// What tone-mapped pictures are stored in until they come to the film's own form: no chroma is lost twice, and sides may
/// be odd.
const MAPPED: &str = "yuv444p10le";

/// Brings a picture in HDR to BT.709, as ffmpeg's wiki and most guides do: linear light, its primaries, the Hable curve.
/// None where it is not known from what.
fn filter(picture: &Picture) -> Option<String> {
    let transfer = match picture.dynamic_range {
        DynamicRange::Pq => PQ,
        DynamicRange::Hlg => HLG,
        DynamicRange::Standard | DynamicRange::DolbyVision | DynamicRange::Untagged => return None,
    };
    let rgb = ffmpeg_compat::is_rgb(&picture.pixel_format);
    let color = &picture.color;
    let matrix = if rgb { "gbr" } else { color.tagged_matrix.as_deref().unwrap_or("bt2020nc") };
    let primaries = color.primaries.as_deref().unwrap_or("bt2020");
    let range = if color.range == Range::Full { "pc" } else { "tv" };
    Some(format!(
        "zscale=t=linear:npl=100:tin={transfer}:min={matrix}:pin={primaries}:rin={range},format=gbrpf32le,zscale=p=bt709,\
         tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format={MAPPED}"
    ))
}

/// Why a clip is not SDR, and what cures it; None where it is.
fn refusal(clip: &Clip, still: bool) -> Option<Unusable> {
    let Clip { path, picture, .. } = clip;
    let quoted = ffmpeg_compat::typed(path);
    let refuse = |problem: &str, help: String| {
        let wanted = if still { "an image in standard range (SDR)" } else { "a clip in standard range (SDR)" };
        Unusable::new(path, problem).wanted(wanted).found(picture.range_source.clone().unwrap_or_default()).help(help)
    };
    let made = if still { "sdr.png" } else { "-c:v libx264 -crf 14 -c:a copy sdr.mp4" };
    Some(match picture.dynamic_range {
        DynamicRange::Standard => return None,
        DynamicRange::Pq | DynamicRange::Hlg => {
            let standard = if picture.dynamic_range == DynamicRange::Pq { "PQ" } else { "HLG" };
            let filter = filter(picture).unwrap_or_default().replace(MAPPED, "yuv420p");
            refuse(
                &format!("is HDR ({standard})"),
                format!("take it with --tone-map, or tone-map it first: ffmpeg -i {quoted} -vf {filter} {made}"),
            )
        }
        DynamicRange::DolbyVision => {
            let profile = picture.dolby_vision.map_or(String::new(), |record| format!(" profile {}", record.profile));
            refuse(
                &format!("is Dolby Vision{profile}, whose picture nothing but Dolby Vision shows right"),
                format!(
                    "--tone-map cannot help: its colours are Dolby's own; take another version of it, or render it by a \
                     player that knows Dolby Vision (ffmpeg's filter libplacebo, on a GPU with Vulkan): ffmpeg \
                     -init_hw_device vulkan -i {quoted} -vf \
                     libplacebo=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv:format=yuv420p {made}"
                ),
            )
        }
        DynamicRange::Untagged => {
            let tag = match picture.codec.as_str() {
                codec @ ("h264" | "hevc" | "av1") => {
                    format!("ffmpeg -i {quoted} -c copy -bsf:v {codec}_metadata=transfer_characteristics=16 tagged.mp4")
                }
                _ => format!("ffmpeg -i {quoted} -c:v ffv1 -color_trc smpte2084 -c:a copy tagged.mkv"),
            };
            let other = match picture.codec.as_str() {
                "h264" | "hevc" | "av1" => "18 in place of 16 says HLG, 1 says SDR",
                _ => "arib-std-b67 in its place says HLG, bt709 SDR",
            };
            refuse(
                "looks like HDR, and nothing says by which curve",
                format!("say what it is, then take it with --tone-map; {other}; this says PQ: {tag}"),
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dolby_vision_profile_goes_by_its_base_layer() {
        use DynamicRange::{DolbyVision as None, Hlg, Pq, Standard};
        let cases = [
            ((5, 0), None),
            ((5, 2), None),
            ((7, 6), Pq),
            ((7, 0), Pq),
            ((8, 1), Pq),
            ((8, 2), Standard),
            ((8, 4), Hlg),
            ((8, 0), None),
            ((9, 2), Standard),
            ((4, 2), Standard),
            ((10, 0), None),
            ((10, 1), Pq),
            ((10, 2), Standard),
            ((10, 4), Hlg),
            ((20, 0), None),
            ((20, 4), Hlg),
        ];
        for ((profile, compatibility), base) in cases {
            assert_eq!(DolbyVision { profile, compatibility }.base(), base, "{profile}.{compatibility}");
        }
    }
}
