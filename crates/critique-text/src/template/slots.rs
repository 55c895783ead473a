//! Which parts of a rendered chat are contents of its messages: the chat is rendered a second time
//! with slots in their places, and the two texts are laid side by side.

use critique_core::Message;

/// A piece of a rendered chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Written by the template.
    Template(&'a str),
    /// The content of a message.
    Content(&'a str),
}

/// A rendered chat with slots for contents.
pub(crate) struct Skeleton {
    pub(super) text: String,
    pub(super) slots: Slots,
}

impl Skeleton {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Which parts of `rendered`, the text of `messages`, are their contents. `None` when the
    /// template does more with contents than to write them, trimmed or not.
    pub(crate) fn pieces<'a>(
        &self,
        rendered: &'a str,
        messages: &[Message],
    ) -> Option<Vec<Piece<'a>>> {
        self.slots.match_up(&self.text, rendered, messages)
    }
}

/// Names for the places of contents that occur in no content.
pub(super) struct Slots {
    start: String,
}

impl Slots {
    const END: &str = "end";

    /// What every name begins with.
    pub(super) fn start(&self) -> &str {
        &self.start
    }

    pub(super) fn unlike(messages: &[Message]) -> Self {
        let taken = |start: &str| messages.iter().any(|it| it.content.contains(start));
        let mut salt = 0;
        let mut start = "place0of".to_owned();
        while taken(&start) {
            salt += 1;
            start = format!("place{salt}of");
        }
        Self { start }
    }

    /// The messages with slots for contents. An empty content stays, as templates test for it.
    pub(super) fn fill(&self, messages: &[Message]) -> Vec<Message> {
        let slot = |(i, message): (usize, &Message)| Message {
            role: message.role,
            content: match message.content.as_str() {
                "" => String::new(),
                _ => format!("{}{i}{}", self.start, Self::END),
            },
        };
        messages.iter().enumerate().map(slot).collect()
    }

    fn match_up<'a>(
        &self,
        with_slots: &str,
        rendered: &'a str,
        messages: &[Message],
    ) -> Option<Vec<Piece<'a>>> {
        let mut texts = with_slots.split(self.start.as_str());
        let first = texts.next()?;
        let mut rest = rendered.strip_prefix(first)?;
        let mut pieces = vec![Piece::Template(&rendered[..first.len()])];
        for text in texts {
            let (number, after) = text.split_once(Self::END)?;
            let content = &messages.get(number.parse::<usize>().ok()?)?.content;
            let forms = [
                content.as_str(),
                content.trim(),
                content.trim_start(),
                content.trim_end(),
            ];
            let form = forms.iter().find(|form| {
                rest.strip_prefix(**form)
                    .is_some_and(|rest| rest.starts_with(after))
            })?;
            let (content, behind) = rest.split_at(form.len());
            let (template, behind) = behind.split_at(after.len());
            pieces.extend([Piece::Content(content), Piece::Template(template)]);
            rest = behind;
        }
        rest.is_empty().then_some(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::Piece::{Content, Template};
    use super::*;
    use crate::template::ChatTemplate;

    #[test]
    fn contents_are_found_in_the_rendered_chat_trimmed_or_not() {
        let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim if m.role == 'user' \
                      else m.content }}</>{% endfor %}";
        let template = ChatTemplate::new(source).unwrap();
        let chat = [
            Message::user(" place0of0end \n"),
            Message::assistant(" b "),
            Message::user(""),
        ];
        let text = template.render(&chat, false, &[]).unwrap();
        let skeleton = template.skeleton(&chat, false, &[]).unwrap();
        let pieces = skeleton.pieces(&text, &chat).unwrap();
        assert_eq!(
            pieces,
            [
                Template("<user>"),
                Content("place0of0end"),
                Template("</><assistant>"),
                Content(" b "),
                Template("</><user></>"),
            ]
        );
    }

    #[test]
    fn reworked_contents_are_not_looked_for() {
        let template = ChatTemplate::new("{{ messages[0].content | upper }}").unwrap();
        let chat = [Message::user("abc")];
        let text = template.render(&chat, false, &[]).unwrap();
        assert_eq!(text, "ABC");
        let skeleton = template.skeleton(&chat, false, &[]).unwrap();
        assert_eq!(skeleton.pieces(&text, &chat), None);
    }
}
