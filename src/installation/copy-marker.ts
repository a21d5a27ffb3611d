/** Row of `installation` in a database that a copy is being made into: until it is gone, rows are missing there. */
export const copyUnderWay = 'copy_under_way'
