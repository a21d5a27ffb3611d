import { cut } from './parse.ts'

/** A text in two: what its author has written, and what they quote. */
export interface Cut {
  readonly visible: string
  /** Null when nothing is quoted. */
  readonly quoted: string | null
}

/** Characters that are looked at; quotes end long before. What follows is quoted, if anything is. */
const maxChars = 128 * 1024
/** Longer lines are no header of a quote: expressions see so much of them only. */
const maxLine = 400
/** A header of a quote may be wrapped over as many lines. */
const maxWrapped = 4
/** Lines of a signature. */
const maxSignature = 20

/** The verb that ends the line above a quote, in the languages of the clients that write one: `On …, Ann wrote:`. */
const wrote =
  /(?:wrote|writes|schrieb(?: am .*)?|a écrit|écrivait|escribió|ha scritto|escreveu|schreef(?: op .*)?|skrev(?: .*)?|kirjoitti|napisał\(?a?\)?|napisał|napsal\(?a?\)?|ezt írta|a scris|написа(?:л|ла|л\(а\))?|писал\(?а?\)?|пишет|yazdı|έγραψε|كتب|כתב(?:\/ה)?|写道|寫道|님이 작성|のメール|wrote the following)\s*[:：]\s*$/iu
/** The beginning of such a line: with a day, a date or a year the verb may be followed by more. */
const began =
  /^(?:on|am|le|el|il(?: giorno)?|em|op|den|på|w dniu|dne|dňa|în data|в|на|στις|بتاريخ|בתאריך|\d{4}[年/.-]|\d{1,2}[./-]\d{1,2}|mon|tue|wed|thu|fri|sat|sun|пн|вт|ср|чт|пт|сб|вс)/iu
/** `2026年11月26日(木) 10:00 山田太郎 <taro@example.jp>:` of Gmail in Japanese, Chinese and Korean; other clients without a verb. */
const dated = /^(?:\d{4}[年./-].{4,120}|.{0,40}\d{1,2}[.:]\d{2}.{0,120})<[^<>\s]+@[^<>\s]+>\s*(?:[:：]|于|님이).{0,20}$/u

const original =
  /^\s*[-_=]{2,}\s*(?:original message|ursprüngliche nachricht|originalnachricht|message d'origine|message original|mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht|originalmeddelande|ursprungligt meddelande|oprindelig meddelelse|original meddelelse|opprinnelig melding|alkuperäinen viesti|wiadomość oryginalna|oryginalna wiadomość|původní zpráva|eredeti üzenet|mesaj original|исходное сообщение|оригинальное сообщение|αρχικό μήνυμα|orijinal mesaj|原始邮件|原始郵件|元のメッセージ|원본 메시지|reply above this line|bitte über dieser linie antworten)\s*[-_=]*\s*$/iu

/** The labels of a block of headers, as Outlook puts it above what it quotes. */
const labels = {
  from: /^\W{0,3}(?:from|von|de|da|van|från|fra|lähettäjä|od|feladó|от|από|kimden|发件人|寄件者|差出人|보낸 사람|من|מאת)\W{0,3}\s*[:：]/iu,
  other:
    /^\W{0,3}(?:sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado(?: el)?|para|asunto|fecha|inviato|data|a|oggetto|assunto|verzonden|aan|onderwerp|skickat|till|ämne|sendt|til|emne|lähetetty|vastaanottaja|aihe|wysłano|do|temat|odesláno|komu|předmět|elküldve|címzett|tárgy|отправлено|дата|кому|тема|στάλθηκε|προς|θέμα|gönderildi|kime|konu|发送时间|日期|收件人|主题|寄件日期|收件者|主旨|送信日時|日時|宛先|件名|보낸 날짜|받는 사람|제목)\W{0,3}\s*[:：]/iu,
}

/** Above a mail that its sender passes on. */
export const forwardMark =
  /^[\s*]*(?:-{3,}\s*(?:forwarded message|forwarded by|weitergeleitete nachricht|message transféré|message transmis|mensaje reenviado|messaggio inoltrato|mensagem encaminhada|doorgestuurd bericht|vidarebefordrat meddelande|videresendt|välitetty viesti|wiadomość przekazana|přeposlaná zpráva|пересылаемое сообщение|iletilen mesaj|转发邮件|轉寄郵件|転送メッセージ|전달된 메시지)|(?:begin forwarded message|anfang der weitergeleiteten nachricht|début du message réexpédié|inicio del mensaje reenviado|inizio messaggio inoltrato)\s*[:：]\s*$)/iu

/** What telephones and free mail services put below a mail. */
const footer =
  /^(?:sent from (?:my|outlook|yahoo|mail)|get outlook for|von meinem .* gesendet|gesendet (?:mit|von) |envoyé (?:de|depuis) |enviado (?:desde|do|de) (?:mi|meu|minha)|inviato da|verzonden (?:vanaf|met|via) |skickat från|sendt fra|lähetetty |wysłane z|odesláno z|отправлено (?:с|из) |iphoneから送信|发自我的|從我的|나의 iphone에서 보냄|iphone'umdan gönderildi)/iu

/**
 * Separates what was written from what is quoted: earlier mails at the end or, below an answer at the end, at the beginning; and the
 * signature. Answers between quoted lines stay as they are, since they mean nothing without them. Forwarded mails are what their
 * sender wants to show, and stay. Linear in the text: each line is looked at a fixed number of times.
 */
export function cutText(text: string): Cut {
  const lines = text.slice(0, maxChars).replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n')
  const end = lastWritten(lines)
  const start = firstWritten(lines, end)
  const visible = joined(lines.slice(start, end))
  // Who answers with nothing but a quote wants it to be seen.
  if (visible === '') return { visible: joined(lines), quoted: null }
  const quoted = [...lines.slice(0, start), ...lines.slice(end)].join('\n').trim()
  return { visible, quoted: hasQuote(lines, start, end) && quoted !== '' ? quoted : null }
}

/** Whether what is cut off is more than a signature. */
function hasQuote(lines: readonly string[], start: number, end: number): boolean {
  return start > 0 || lines.slice(end).some((line, i) => isQuoted(line) || separatorAt(lines, end + i) > 0)
}

function joined(lines: readonly string[]): string {
  return lines
    .join('\n')
    .replace(/^(?:[ \t]*\n)+/, '')
    .trimEnd()
}

/** Returns the index after the last line that was written, in the order in which clients add things below it. */
function lastWritten(lines: readonly string[]): number {
  let end = beforeSeparator(lines)
  end = beforeTrailingQuote(lines, end)
  end = beforeSignature(lines, end)
  return end
}

/** Returns the first line from which everything is quoted. A header of lines with `>` counts when nothing is written below them. */
function beforeSeparator(lines: readonly string[]): number {
  const lastPlain = lastUnquoted(lines)
  for (let i = 0; i < lines.length; i++) {
    if (forwardMark.test(short(lines[i]))) return lines.length
    const height = separatorAt(lines, i)
    if (height === 0) continue
    const next = nextText(lines, i + height)
    if (next === undefined || !isQuoted(lines[next] ?? '') || lastPlain < next) return i
  }
  return lines.length
}

/** Returns the last line that is not quoted and no signature, from the end. */
function lastUnquoted(lines: readonly string[]): number {
  const end = beforeSignature(lines, lines.length)
  for (let i = end - 1; i >= 0; i--) if (!isBlank(lines[i] ?? '') && !isQuoted(lines[i] ?? '')) return i
  return -1
}

/** Returns how many lines of a quote's header begin here; 0 when none does. */
function separatorAt(lines: readonly string[], i: number): number {
  const line = short(lines[i])
  if (isBlank(line) || isQuoted(line)) return 0
  if (original.test(line)) return 1
  const block = headerBlockAt(lines, i)
  if (block > 0) return block
  return attributionAt(lines, i)
}

/** `On Thu, 26 Nov 2026 at 10:00, Ann <ann@example.org> wrote:`, over up to four lines. */
function attributionAt(lines: readonly string[], i: number): number {
  const first = short(lines[i]).trim()
  if (dated.test(first)) return 1
  if (wrote.test(first) && (began.test(first) || /\d/.test(first) || isQuoted(lines[nextText(lines, i + 1) ?? -1] ?? '')))
    return 1
  if (!began.test(first)) return 0
  let text = first
  for (let n = 1; n < maxWrapped; n++) {
    const line = short(lines[i + n]).trim()
    if (line === '' || isQuoted(line)) return 0
    text = `${text} ${line}`
    if (text.length > maxLine) return 0
    if (/\d/.test(text) && (wrote.test(text) || dated.test(text))) return n + 1
  }
  return 0
}

/** Returns the height of a block of at least three header lines, with a rule above it or not; 0 when there is none. */
function headerBlockAt(lines: readonly string[], i: number): number {
  const rule = /^\s*[_-]{5,}\s*$/.test(short(lines[i])) ? 1 : 0
  const from = rule ? (nextText(lines, i + 1) ?? lines.length) : i
  if (from - i > 2 || !labels.from.test(short(lines[from]))) return 0
  let found = 0
  let n = from + 1
  for (; n < Math.min(lines.length, from + 8); n++) {
    if (labels.other.test(short(lines[n]))) found++
    else if (!isBlank(lines[n] ?? '') && found >= 2) break
  }
  return found >= 2 ? n - i : 0
}

/** Leaves out quoted lines at the end. */
function beforeTrailingQuote(lines: readonly string[], end: number): number {
  const signature = beforeSignature(lines, end)
  let last = skipBlank(lines, signature)
  if (last === 0 || !isQuoted(lines[last - 1] ?? '')) return end
  while (last > 0 && (isQuoted(lines[last - 1] ?? '') || isBlank(lines[last - 1] ?? ''))) last--
  // The header of the quote, when it was not recognised: a line that ends in a colon directly above.
  if (last > 1 && /[:：]\s*$/.test(short(lines[last - 1])) && isQuoted(lines[last] ?? '')) last--
  return last
}

/** Leaves out `-- ` with what is below it, and what a telephone adds. */
function beforeSignature(lines: readonly string[], end: number): number {
  let last = skipBlank(lines, end)
  for (let i = Math.max(0, last - maxSignature); i < last; i++) {
    if (!/^--[ \u00a0]?$/.test(lines[i] ?? '')) continue
    last = skipBlank(lines, i)
    break
  }
  for (let n = 0; n < 2 && last > 0 && footer.test(short(lines[last - 1]).trim()); n++) last = skipBlank(lines, last - 1)
  return last === 0 ? end : last
}

/** Returns the first line written below a quote, of who answers at the end; 0 when quotes and answers alternate. */
function firstWritten(lines: readonly string[], end: number): number {
  let i = nextText(lines, 0) ?? 0
  const height = isQuoted(lines[i] ?? '') ? 0 : separatorAt(lines, i)
  i = height > 0 ? (nextText(lines, i + height) ?? i) : i
  if (!isQuoted(lines[i] ?? '')) return 0
  while (i < end && (isQuoted(lines[i] ?? '') || isBlank(lines[i] ?? ''))) i++
  for (let n = i; n < end; n++) if (isQuoted(lines[n] ?? '')) return 0
  return i
}

function skipBlank(lines: readonly string[], end: number): number {
  let last = end
  while (last > 0 && isBlank(lines[last - 1] ?? '')) last--
  return last
}

function nextText(lines: readonly string[], from: number): number | undefined {
  // A header and its quote are a few blank lines apart, not hundreds.
  for (let i = from; i < Math.min(lines.length, from + 10); i++) if (!isBlank(lines[i] ?? '')) return i
  return undefined
}

function isQuoted(line: string): boolean {
  return /^[ \t]{0,3}[>＞|](?!\S*<\/)/.test(line.slice(0, 8))
}

function isBlank(line: string): boolean {
  return line.trim() === ''
}

function short(line: string | undefined): string {
  return cut(line ?? '', maxLine)
}
