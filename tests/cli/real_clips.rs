//! Clips as people have them, in every place of a film and in every command: cuts without re-encoding, recordings,
//! animations, HDR.

use std::fs;

use super::{
    engine::fake,
    harness::{Room, Run},
    material::SMALL,
};

/// Frame n is flat, with luma 20 + 5n.
const SOURCE: &str = "-f lavfi -i nullsrc=size=64x36:rate=25,format=yuv420p,geq=lum=20+5*N:cb=128:cr=128 -frames:v 40";

impl Room {
    /// cut.mp4 shows frames 17 to 39, whose edit list hides more; rec.ts shows frames 12 to 39, and begins with pictures that
    /// have lost their reference; b.mp4 shows frames 0 to 9.
    fn real_clips(&self) {
        self.material("cut.mp4", "frames behind an edit list", || {
            self.ffmpeg(&format!(
                "{SOURCE} -c:v libx264 -preset veryfast -crf 8 -g 12 -bf 3 -sc_threshold 0 whole.mp4"
            ));
            self.ffmpeg("-ss 0.68 -i whole.mp4 -c copy cut.mp4");
            fs::remove_file(self.path("whole.mp4")).unwrap();
        });
        self.material("rec.ts", "an open GOP's start", || {
            self.ffmpeg(&format!("{SOURCE} -c:v mpeg2video -q:v 2 -g 12 -bf 2 -sc_threshold 1000000000 whole.ts"));
            // The second key frame is the 11th packet: two B-frames before it on the screen come after it in the file.
            self.ffmpeg("-i whole.ts -c copy -bsf:v noise=drop=lt(n\\,10) rec.ts");
            fs::remove_file(self.path("whole.ts")).unwrap();
        });
        self.material("b.mp4", "ten numbered frames", || {
            self.ffmpeg(&format!("{SOURCE} -frames:v 10 -c:v libx264 -preset veryfast -crf 8 b.mp4"));
        });
    }

    /// Which frame of its source each frame of a film is.
    fn counted(&self, film: &str) -> Vec<usize> {
        self.numbers(film, SMALL).iter().map(|luma| (usize::from(*luma).saturating_sub(20) + 2) / 5).collect()
    }

    fn error(&self, line: &str) -> serde_json::Value {
        self.run(&format!("{line} --json")).fails(3).event("error")
    }
}

fn said(run: &Run, code: &str) -> bool {
    run.events().iter().any(|event| event["type"] == "warning" && event["code"] == code)
}

#[test]
fn what_a_decoder_shows_is_the_clip_in_every_place_of_a_film() {
    let room = Room::new();
    room.real_clips();
    let (cut, rec): (Vec<usize>, Vec<usize>) = ((17..40).collect(), (12..40).collect());
    // First, in the middle, last.
    room.run("join rec.ts cut.mp4 rec.ts --gap 4 --crf 4 -o film.mp4").good();
    let film = room.counted("film.mp4");
    assert_eq!(film.len(), 28 + 4 + 23 + 4 + 28);
    assert_eq!((&film[..28], &film[32..55], &film[59..]), (&rec[..], &cut[..], &rec[..]));
    let run =
        room.run("join cut.mp4 rec.ts cut.mp4 --gap 4 --crf 4 --mode replace --json -o film.mp4 --overwrite").good();
    let film = room.counted("film.mp4");
    assert_eq!(film.len(), 23 + 28 + 23);
    assert_eq!((&film[..21], &film[25..49], &film[53..]), (&cut[..21], &rec[2..26], &cut[2..]));
    // Nothing is missing, so nothing is said.
    assert!(!said(&run, "count") && !said(&run, "damage"), "{}", run.stdout);
    for (name, wanted) in [("cut.mp4", &cut), ("rec.ts", &rec)] {
        room.run(&format!("join {name} --loop --gap 4 --crf 4 -o film.mp4 --overwrite")).good();
        assert_eq!(room.counted("film.mp4")[..wanted.len()], wanted[..], "{name} in a loop");
        room.run(&format!("join {name} --range 10..14 --crf 4 -o film.mp4 --overwrite")).good();
        let film = room.counted("film.mp4");
        assert_eq!(film.len(), wanted.len(), "{name} with a range");
        assert_eq!((&film[..10], &film[14..]), (&wanted[..10], &wanted[14..]), "{name} with a range");
    }
}

#[test]
fn so_it_is_in_every_command() {
    let room = Room::new();
    room.real_clips();
    room.ffmpeg("-i b.mp4 -frames:v 1 end.png");
    for (name, first, frames) in [("cut.mp4", 17, 23), ("rec.ts", 12, 28)] {
        room.run(&format!("travel end.png --continue {name} --frames 9 --crf 4 -o film.mp4 --overwrite")).good();
        let film = room.counted("film.mp4");
        assert_eq!(film[..frames], (first..40).collect::<Vec<_>>(), "{name} gone on from");
        room.run(&format!("guide {name} b.mp4 --gap 4 -o guide --overwrite")).good();
        assert!(room.path("guide/guide.mp4").is_file());
        let shown = room.run(&format!("inspect {name} b.mp4 --json")).good();
        assert_eq!(shown.event("clip")["frames"], frames);
        let text = room.run(&format!("inspect {name}")).good().stdout;
        assert!(text.contains(&format!("decoded {frames}: the last is believed")), "{text}");
    }
    assert!(room.run("inspect cut.mp4").good().stdout.contains("hidden by an edit list"));
}

#[test]
fn a_film_stitched_of_parts_has_the_frames_that_a_decoder_shows() {
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap());
    room.real_clips();
    let words = "join rec.ts cut.mp4 --engine rife --gap 4 --crf 4";
    room.run(&format!("{words} --segment 1 -o seam.mp4")).good();
    room.run(&format!("{words} --stitch-only -o film.mp4")).good();
    let film = room.counted("film.mp4");
    assert_eq!((&film[..28], &film[32..]), (&(12..40).collect::<Vec<_>>()[..], &(17..40).collect::<Vec<_>>()[..]));
}

#[test]
fn lost_packets_are_joined_and_said_in_one_line() {
    let room = Room::new();
    room.real_clips();
    let noise = SOURCE.replace("lum=20+5*N", "lum='if(lt(X,32),20+5*N,random(1)*255)'");
    room.ffmpeg(&format!("{noise} -c:v libx264 -preset veryfast -crf 8 -g 12 -bf 0 whole.ts"));
    let bytes = fs::read(room.path("whole.ts")).unwrap();
    let half = bytes.len() / 2 / 188 * 188;
    fs::write(room.path("lost.ts"), [&bytes[..half], &bytes[half + 5 * 188..]].concat()).unwrap();
    let run = room.run("join lost.ts b.mp4 lost.ts --gap 4 --crf 4 --json -o film.mp4").good();
    assert!(said(&run, "damage"), "{}", run.stdout);
    assert_eq!(room.counted("film.mp4").len(), 40 + 4 + 10 + 4 + 40);
    assert!(room.run("inspect lost.ts").good().stdout.contains("lacks parts"));
}

#[test]
fn the_rate_of_a_screen_recording_is_said_with_its_reason() {
    let room = Room::new();
    room.ffmpeg_words(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=64x36:rate=60:duration=4",
        "-vf",
        "select='if(between(t,2,2.2),1,not(mod(n,30)))'",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "screen.mp4",
    ]);
    let shown = room.run("inspect screen.mp4").good().stdout;
    let words = "variable, taken as 60 fps (its header's rate: all frames lie on that grid, 12 of 19 steps are single)";
    assert!(shown.contains(words), "{shown}");
    let event = room.run("inspect screen.mp4 --json").good().event("clip");
    assert_eq!(event["rate_source"], serde_json::json!({ "nominal": { "single": 12, "steps": 19 } }));
}

#[test]
fn an_animation_is_a_clip_for_join_and_guide_and_none_for_travel() {
    let room = Room::new();
    room.real_clips();
    for (name, words) in [
        ("a.gif", "-pix_fmt gray"),
        ("a.png", "-f apng -pix_fmt rgb24"),
        ("a.webp", "-c:v libwebp_anim -lossless 1 -pix_fmt bgra"),
    ] {
        let source = SOURCE.replace("rate=25", "rate=10");
        room.ffmpeg(&format!("{source} -frames:v 12 {words} {name}"));
        let first =
            room.run(&format!("join {name} b.mp4 {name} --gap 4 --crf 4 --json -o film.mp4 --overwrite")).good();
        assert_eq!(first.event("plan")["plan"]["fps"], "10/1", "{name}");
        let (film, stream) = (room.counted("film.mp4"), room.stream("film.mp4", "v"));
        assert_eq!(
            (&film[..12], film[film.len() - 12..].to_vec()),
            (&(0..12).collect::<Vec<_>>()[..], (0..12).collect()),
            "{name}"
        );
        assert_eq!((&stream["pix_fmt"], &stream["color_range"]), (&"yuv420p".into(), &"tv".into()), "{name}");
        room.run(&format!("guide {name} b.mp4 --gap 4 -o guide --overwrite")).good();
        assert_eq!(room.run(&format!("inspect {name} --json")).good().event("clip")["frames"], 12, "{name}");
        let error = room.error(&format!("travel {name} {name} --frames 9"));
        assert!(error["message"].as_str().unwrap().contains("is animated"), "{error}");
    }
    let clear = SOURCE
        .replace("format=yuv420p", "format=rgba")
        .replace("lum=20+5*N:cb=128:cr=128", "r=200:g=0:b=0:a=if(lt(X\\,32)\\,0\\,255)");
    room.ffmpeg(&format!("{clear} -frames:v 6 -f apng clear.png"));
    let run = room.run("join clear.png b.mp4 --gap 4 --lossless --json -o film.mkv").good();
    assert!(said(&run, "transparent"), "{}", run.stdout);
    let frame = &room.frames("film.mkv", "rgb24", SMALL)[0];
    assert_eq!((&frame[..3], &frame[63 * 3..64 * 3]), (&[255, 255, 255][..], &[200, 0, 0][..]));
}

/// Twelve frames in PQ.
fn pq(room: &Room, name: &str) {
    room.material(name, "twelve frames in PQ", || {
        let tags = "-color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc";
        room.ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 12 -c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p10le \
             {tags} {name}"
        ));
    });
}

#[test]
fn hdr_is_refused_in_every_command_and_taken_with_tone_map() {
    let room = Room::new();
    room.real_clips();
    pq(&room, "hdr.mp4");
    room.ffmpeg("-i b.mp4 -frames:v 1 end.png");
    for words in [
        "join hdr.mp4 b.mp4 --gap 4 -o film.mp4",
        "join b.mp4 hdr.mp4 b.mp4 --gap 4 -o film.mp4",
        "join hdr.mp4 --loop --gap 4 -o film.mp4",
        "join hdr.mp4 --range 4..8 -o film.mp4",
        "travel end.png --continue hdr.mp4 --frames 9 -o film.mp4",
        "guide hdr.mp4 b.mp4 --gap 4 -o guide",
    ] {
        let error = room.error(&format!("{words} --overwrite"));
        assert_eq!(error["message"], "hdr.mp4 is HDR (PQ)", "{words}");
        assert!(error["help"].as_str().unwrap().contains("--tone-map"), "{words}");
        let run = room.run(&format!("{words} --tone-map --json --overwrite")).good();
        assert!(said(&run, "tone_mapped"), "{words}: {}", run.stdout);
        if words.starts_with("join hdr") {
            assert_eq!(room.stream("film.mp4", "v")["color_transfer"], "bt709", "{words}");
        }
    }
    // The film says it again.
    room.run("join hdr.mp4 b.mp4 --gap 4 --tone-map --lossless -o first.mkv").good();
    room.run("join --task first.mkv -o again.mkv").good();
    assert!(room.frames("again.mkv", "rgb24", SMALL) == room.frames("first.mkv", "rgb24", SMALL));
}

#[test]
fn inspect_has_the_facts_of_an_hdr_clip_and_its_problem() {
    let room = Room::new();
    pq(&room, "hdr.mp4");
    let text = room.run("inspect hdr.mp4").fails(3).stdout;
    for words in ["frames    12", "range     HDR (PQ)", "problem hdr.mp4 is HDR (PQ)", "--tone-map"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let run = room.run("inspect hdr.mp4 --json").fails(3);
    assert_eq!(run.event("clip")["picture"]["dynamic_range"], "pq");
    assert_eq!(run.event("problem")["problem"]["code"], "input");
}

#[test]
fn an_ffmpeg_without_the_filters_refuses_hdr_and_names_them() {
    let room = Room::new();
    room.real_clips();
    pq(&room, "hdr.mp4");
    let without = room.script(
        "without.sh",
        "case \"$*\" in *-filters*) ffmpeg \"$@\" | grep -v zscale; exit;; esac\nexec ffmpeg \"$@\"",
    );
    let room = room.with("WANCTL_FFMPEG", without);
    let error = room.error("join hdr.mp4 b.mp4 --gap 4 --tone-map");
    assert_eq!(error["message"], "hdr.mp4 is HDR (PQ), and this ffmpeg cannot tone-map it");
    assert_eq!(
        (&error["found"], &error["wanted"]),
        (&"no zscale".into(), &"an ffmpeg with the filters zscale and tonemap".into())
    );
}
