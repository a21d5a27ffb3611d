import type { Tx } from '../../storage/database.ts'
import { deleteRow, insert, rowsBy } from '../../storage/rows.ts'
import type { MailBlockRow } from '../../storage/schema.ts'

export const mailBlock = rowsBy('mail_blocks', ['account_sid', 'address'])
export const mailBlocksOf = rowsBy('mail_blocks', ['account_sid'])

/** The commands of addresses that get no more mail. */
export const mailBlockCommands = {
  /** Blocks an address; a block that exists stays as it is. */
  async blockMail(tx: Tx, row: MailBlockRow): Promise<void> {
    if (await tx.hold(mailBlock, row, 'change')) return
    await insert(tx, 'mail_blocks', row)
  },

  /** Returns whether there was a block. */
  async unblockMail(tx: Tx, input: { account_sid: string; address: string }): Promise<boolean> {
    return (await tx.run(deleteRow('mail_blocks', ['account_sid', 'address']), input)) > 0
  },
}
