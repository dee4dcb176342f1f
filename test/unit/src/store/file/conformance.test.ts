import { join } from 'node:path';
import { admitByModel } from '../../../../../src/store/admission.ts';
import { openFileStore } from '../../../../../src/store/file/file-store.ts';
import { storeConformance } from '../../../../support/store-conformance.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../../support/temporary-folder.ts';

describe('file store, conformance', () => {
  afterEach(removeTemporaryFolders);

  storeConformance('the embedded store', async () => {
    const root = join(temporaryFolder(), 'store');
    const reopen = async () => await openFileStore({ root, admit: admitByModel });
    return { store: await reopen(), reopen };
  });
});
